//! Which files there are, and when.

use std::fs;
use std::path::PathBuf;

use aulos_protocol::ErrorCode;
use tempfile::TempDir;

use super::*;

const FORMATS: [AudioFormat; 2] = [AudioFormat::Wav, AudioFormat::Flac];

fn create(path: &Path, format: AudioFormat) -> Result<Writer, Error> {
    Writer::create(path, format, SampleDepth::Int16, Rate::default(), 1)
}

fn names(folder: &TempDir) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_file_appears_when_it_is_whole() {
    let folder = TempDir::new().unwrap();
    for format in FORMATS {
        let path = folder.path().join("take.1");
        fs::write(&path, "what was there before").unwrap();
        let mut writer = create(&path, format).unwrap();
        writer.write(&[&[0.5; 10_000]]).unwrap();
        assert_eq!(names(&folder), ["take.1", "take.1.partial"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "what was there before");
        writer.finish().unwrap();
        assert_eq!(names(&folder), ["take.1"]);
        assert!(crate::disk::read_all(&path) == [[0.5; 10_000]]);
    }
}

#[test]
fn an_unfinished_file_is_removed() {
    let folder = TempDir::new().unwrap();
    for format in FORMATS {
        let path = folder.path().join("take");
        let mut writer = create(&path, format).unwrap();
        writer.write(&[&[0.5; 10_000]]).unwrap();
        drop(writer);
        assert!(names(&folder).is_empty());
    }
}

#[test]
fn what_a_killed_server_left_is_overwritten() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("take.wav");
    fs::write(folder.path().join("take.wav.partial"), vec![7; 100_000]).unwrap();
    write(&path, AudioFormat::Wav, SampleDepth::Int16, 48_000, &[vec![0.5; 10]], 10).unwrap();
    assert_eq!(names(&folder), ["take.wav"]);
    assert_eq!(fs::metadata(&path).unwrap().len(), 44 + 20);
}

#[test]
fn a_planted_link_is_not_followed() {
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "precious").unwrap();
    std::os::unix::fs::symlink(&secret, folder.path().join("take.wav.partial")).unwrap();
    let error = create(&folder.path().join("take.wav"), AudioFormat::Wav).unwrap_err();
    assert_eq!(error.code, ErrorCode::Io);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "precious");
}

#[test]
fn two_do_not_write_one_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("take");
    let mut first = create(&path, AudioFormat::Wav).unwrap();
    let error = create(&path, AudioFormat::Flac).unwrap_err();
    assert_eq!(error.code, ErrorCode::Busy);
    first.write(&[&[0.5; 100]]).unwrap();
    first.finish().unwrap();
    assert!(crate::disk::read_all(&path) == [[0.5; 100]]);
    create(&path, AudioFormat::Flac).unwrap();
    assert_eq!(names(&folder), ["take"]);
}

#[test]
fn places_that_cannot_be_written_are_refused_with_a_reason() {
    let folder = TempDir::new().unwrap();
    let refused = |path: PathBuf| create(&path, AudioFormat::Wav).unwrap_err();
    let missing = refused(folder.path().join("no/such/take.wav"));
    assert_eq!(missing.code, ErrorCode::NotFound);
    assert!(missing.message.contains("no/such") && missing.remedy.is_some(), "{missing:?}");
    for path in [folder.path().to_owned(), folder.path().join(".."), PathBuf::new()] {
        let error = refused(path);
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error:?}");
        assert!(error.remedy.is_some());
    }
    assert_eq!(refused("/dev/null".into()).code, ErrorCode::InvalidArgument);
    // Not even the administrator can make files there, so this works whoever runs the tests.
    let read_only = refused("/proc/take.wav".into());
    assert_eq!(read_only.code, ErrorCode::Io);
    assert!(read_only.message.contains("/proc/take.wav"), "{read_only}");
    assert!(names(&folder).is_empty());
}

#[test]
fn a_wrong_block_spoils_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("take");
    for format in FORMATS {
        for block in [&[][..], &[&[0.0; 4][..], &[0.0; 4]]] {
            let mut writer = create(&path, format).unwrap();
            writer.write(&[&[0.5; 10]]).unwrap();
            assert_eq!(writer.write(block).unwrap_err().code, ErrorCode::InvalidArgument);
            assert_eq!(writer.finish().unwrap_err().code, ErrorCode::Io);
            assert!(names(&folder).is_empty());
        }
        let mut writer = Writer::create(&path, format, SampleDepth::Int16, Rate::default(), 2).unwrap();
        assert!(writer.write(&[&[0.0; 4], &[0.0; 3]]).is_err());
    }
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    // Every write to this device says that the disk is full.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut wav = super::super::wav::Wav::new(full, SampleDepth::Int16, 48_000, 1).unwrap();
    let error = wav.write(&[&vec![0.5; 1 << 20]]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let error = super::super::partial::refused(Path::new("take.wav"), &error);
    assert_eq!(error.code, ErrorCode::Io);
    assert!(error.remedy.unwrap().contains("space"));
}

#[test]
fn the_length_of_wav_files_is_limited() {
    let most = |depth, channels| Writer::most_frames(AudioFormat::Wav, depth, channels).unwrap();
    for (depth, bytes) in [(SampleDepth::Int16, 2), (SampleDepth::Int24, 3), (SampleDepth::Float32, 4)] {
        for channels in [1, 2, 64] {
            let size = most(depth, channels) * bytes * u64::from(channels);
            assert!(size + 68 <= u64::from(u32::MAX) && size + 1_000 > u64::from(u32::MAX));
        }
    }
    assert_eq!(Writer::most_frames(AudioFormat::Flac, SampleDepth::Int16, 8).unwrap(), (1 << 36) - 1);
}
