//! Opening audio files, whatever their format.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use aulos_protocol::{Error, ErrorCode};

use super::flac::Flac;
use super::pcm::Pcm;
use super::refusal::{MAX_CHANNELS, Refusal};
use super::resampled::Resampled;
use super::segments::Segments;
use super::tags::after_tags;
use super::vorbis::Vorbis;
use super::window::Window;
use super::{aiff, mp4, mpeg, wav};

/// What an audio file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// How many channels it has, 1 to 64.
    pub channels: u16,
    /// Its rate in Hz, at least 1.
    pub rate: u32,
    /// How many frames it really holds, which is fewer than its header says if it was cut short; at least 1.
    pub frames: u64,
}

/// What went wrong while reading samples.
#[derive(Debug)]
pub enum Fault {
    /// The file's contents are damaged there; other places may be fine.
    Damaged(String),
    /// The file cannot be read any more.
    Io(io::Error),
}

/// Reads samples from one open file. Sample `n` depends on the file and `n` only.
pub trait Decode: Send + Debug {
    /// What the file holds.
    fn info(&self) -> FileInfo;

    /// Fills `out` with the frames from `from` on: as many as fit, all of channel 0, then all of channel 1,
    /// and so on. What lies past the end of the file or could not be read is 0.
    ///
    /// After [`Fault::Damaged`] other places can still be read; each damaged place is told once.
    fn read(&mut self, from: u64, out: &mut [f32]) -> Result<(), Fault>;

    /// What the file lacks at its end of what it says that it has, as "it has …"; `None` if that is not known.
    fn shortage(&self) -> Option<String> {
        None
    }

    /// How many samples were replaced by 0 since the last call because they were no numbers. Whoever reads looks
    /// for such samples anyway; this is for decoders that had to replace them themselves.
    fn take_invalid(&mut self) -> u64 {
        0
    }
}

/// Reads the head of the file at `path` and finds out how long it is.
///
/// Errors: `not_found` for a missing file, `io` if it cannot be read, `invalid_argument` for anything that is
/// not an audio file with 1 to 64 channels of a supported kind of samples.
pub fn probe(path: &Path) -> Result<FileInfo, Error> {
    open(path).map(|decoder| decoder.info())
}

/// Opens the file at `path`. Errors are those of [`probe`].
pub fn open(path: &Path) -> Result<Box<dyn Decode>, Error> {
    careful(path, || detect(path))
}

/// Opens the file at `path` to be read at `rate` in Hz. Errors are those of [`probe`], and `invalid_argument` if
/// the file's rate is such that it cannot be resampled.
pub fn open_at(path: &Path, rate: u32) -> Result<Box<dyn Decode>, Error> {
    careful(path, || {
        let decoder = detect(path)?;
        if decoder.info().rate == rate {
            return Ok(decoder);
        }
        Ok(Box::new(Resampled::new(decoder, rate)?))
    })
}

fn careful(
    path: &Path,
    open: impl FnOnce() -> Result<Box<dyn Decode>, Refusal>,
) -> Result<Box<dyn Decode>, Error> {
    guarded(open)
        .unwrap_or_else(|| Err(Refusal::Malformed("its contents confuse the decoder".into())))
        .map_err(|refusal| refusal.about(path))
}

/// Runs `work` of a decoder; `None` if it panicked. Decoders parse hostile bytes, and a defect of theirs must
/// cost no more than the file.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

fn detect(path: &Path) -> Result<Box<dyn Decode>, Refusal> {
    // Asked before opening, as opening a pipe would wait for its other end.
    let kind = std::fs::metadata(path)?;
    if kind.is_dir() {
        return Err(Refusal::Folder);
    }
    if !kind.is_file() {
        return Err(Refusal::NotAudio);
    }
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut magic = [0; 8];
    read_at(&file, &mut magic, 0)?;
    let mut start = 0;
    if magic.starts_with(b"ID3") {
        // Tags of this kind belong to MP3, but some programs put them before FLAC, too.
        start = after_tags(&mut Window::new(&file, len), 0)?;
        let mut marker = [0; 4];
        if read_at(&file, &mut marker, start)? == marker.len() && &marker == b"fLaC" {
            magic[..4].copy_from_slice(&marker);
        }
    }
    let decoder: Box<dyn Decode> = match &magic {
        [b'R', b'I', b'F', b'F', ..] | [b'R', b'F', b'6', b'4', ..] | [b'B', b'W', b'6', b'4', ..] => {
            let layout = wav::parse(&file, len)?;
            Box::new(Pcm::new(file, layout))
        }
        [b'F', b'O', b'R', b'M', ..] => {
            let layout = aiff::parse(&file, len)?;
            Box::new(Pcm::new(file, layout))
        }
        [b'f', b'L', b'a', b'C', ..] => Box::new(Flac::open(file, start, len)?),
        [b'O', b'g', b'g', b'S', ..] => Box::new(Segments::new(Vorbis::open(file, len)?)),
        [_, _, _, _, b'f', b't', b'y', b'p'] => Box::new(Segments::new(mp4::open(file, len)?)),
        _ => Box::new(Segments::new(mpeg::open(file, len)?)),
    };
    let info = decoder.info();
    if !(1..=MAX_CHANNELS).contains(&info.channels) {
        return Err(Refusal::Channels(info.channels));
    }
    if info.rate == 0 {
        return Err(Refusal::Malformed("its rate is 0 Hz".into()));
    }
    if info.frames == 0 {
        return Err(Refusal::Empty);
    }
    Ok(decoder)
}

/// Fills `buffer` from `offset` on and answers how many bytes there were; fewer only at the end of the file.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// What [`Decode::shortage`] says of a file that has `present` of `promised` frames.
pub fn lacking(present: u64, promised: u64) -> Option<String> {
    (present < promised)
        .then(|| format!("it has {present} of the {promised} frames that its head says; the rest is silent"))
}

/// The error that a shortage of the file at `path` is told as.
pub fn cut_short(shortage: &str, path: &Path) -> Error {
    Error::new(ErrorCode::Io, format!("{} is cut short: {shortage}", path.display()))
        .remedy("replace the file with a good copy")
}

/// The error that `fault` of the file at `path` is told as.
pub fn report(fault: &Fault, path: &Path) -> Error {
    match fault {
        Fault::Damaged(what) => {
            Error::new(ErrorCode::Io, format!("{} is damaged: {what}; it is silent there", path.display()))
                .remedy("replace the file with a good copy")
        }
        Fault::Io(error) => {
            Error::io(&format!("read on in the audio file {}; the rest is silent", path.display()), error)
                .remedy("check the disk, then close and open the session")
        }
    }
}
