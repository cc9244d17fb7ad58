//! What the control thread can rely on.

use super::super::cells::CHUNK;
use super::exact::wav;
use super::*;

const FRAMES: u64 = 20 * CHUNK as u64;

#[test]
fn what_is_missing_is_silent_and_counted_once_a_block() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Wav16, 2, FRAMES, 1);
    let streams = Streams::new(0).unwrap();
    let stream = streams.open(&made.path).unwrap();
    for from in [0, 100] {
        for channel in 0..2 {
            let (complete, out) = read(&stream, channel, from, 100);
            assert!(!complete);
            assert_eq!(out, vec![0.0; 100]);
        }
    }
    assert_eq!((stream.underruns(), streams.underruns()), (2, 2));
    load(&streams, &stream, 0..CHUNK as u64);
    made.check(&stream, 0, CHUNK as u64);
    let (complete, out) = read(&stream, 1, CHUNK as u64 - 10, 20);
    assert!(!complete, "half of it is missing");
    assert_same(&out[..10], &made.samples(1, CHUNK as u64 - 10, 10), 0);
    assert_eq!(out[10..], [0.0; 10]);
    assert_eq!((stream.underruns(), streams.underruns()), (3, 3));
    drop(stream);
    assert_eq!(streams.underruns(), 3, "the sum stays");
}

#[test]
fn memory_is_bounded_by_the_file_and_by_the_windows() {
    let folder = TempDir::new().unwrap();
    let short = Made::new(folder.path(), Kind::Wav8, 1, 5_000, 1);
    let long = Made::new(folder.path(), Kind::Wav8, 1, FRAMES, 1);
    let streams = Streams::new(CHUNK as u64 + 1).unwrap();
    assert_eq!(streams.open(&short.path).unwrap().capacity(), 2 * CHUNK as u64);
    assert_eq!(streams.open(&long.path).unwrap().capacity(), 8 * CHUNK as u64);
}

#[test]
fn too_much_is_cut_to_what_fits_most_urgent_first() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Wav16, 1, FRAMES, 1);
    let streams = Streams::new(0).unwrap();
    let stream = streams.open(&made.path).unwrap();
    assert_eq!(stream.capacity(), 4 * CHUNK as u64);
    let chunk = |n: u64| n * CHUNK as u64..(n + 1) * CHUNK as u64;
    let mut wanted = Wanted::new();
    for n in [9, 9, 3, 9, 12] {
        wanted.add(&stream, chunk(n));
    }
    wanted.add(&stream, 0..FRAMES);
    streams.want(wanted.clone());
    streams.wait_ready(&wanted, PATIENCE).unwrap();
    for n in [9, 3, 12, 0] {
        made.check(&stream, chunk(n).start, CHUNK as u64);
    }
    assert!(!read(&stream, 0, chunk(1).start, 1).0);
}

#[test]
fn what_stays_wanted_is_there_all_the_time() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Flac16, 1, FRAMES, 1);
    let streams = Streams::new(0).unwrap();
    let stream = streams.open(&made.path).unwrap();
    let here = 5 * CHUNK as u64..7 * CHUNK as u64;
    load(&streams, &stream, here.clone());
    for target in [0, 12, 3, 17, 9] {
        let target = target * CHUNK as u64;
        let mut wanted = Wanted::new();
        wanted.add(&stream, here.clone());
        wanted.add(&stream, target..target + 2 * CHUNK as u64);
        streams.want(wanted.clone());
        while !streams.ready(&wanted) {
            made.check(&stream, here.start, 2 * CHUNK as u64);
        }
        made.check(&stream, here.start, 2 * CHUNK as u64);
        made.check(&stream, target, 2 * CHUNK as u64);
    }
    assert_eq!(stream.underruns(), 0);
}

#[test]
fn many_streams_are_all_served() {
    let folder = TempDir::new().unwrap();
    let streams = Streams::new(3 * CHUNK as u64).unwrap();
    let open: Vec<_> = (0..24)
        .map(|n| {
            let made = Made::new(folder.path(), Kind::ALL[n % 7], 1 + n as u16 % 3, FRAMES, n as u64);
            let stream = streams.open(&made.path).unwrap();
            (made, stream)
        })
        .collect();
    for from in [0, FRAMES / 2, 1_000] {
        let mut wanted = Wanted::new();
        for (_, stream) in &open {
            wanted.add(stream, from..from + 3 * CHUNK as u64);
        }
        streams.want(wanted.clone());
        streams.wait_ready(&wanted, PATIENCE).unwrap();
        for (made, stream) in &open {
            made.check(stream, from, 3 * CHUNK as u64);
        }
    }
}

#[test]
fn the_newest_wish_counts() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Flac24, 2, FRAMES, 1);
    let streams = Streams::new(0).unwrap();
    let stream = streams.open(&made.path).unwrap();
    for n in 0..200 {
        let mut wanted = Wanted::new();
        let from = hash(n) % FRAMES;
        wanted.add(&stream, from..from + 100);
        streams.want(wanted);
    }
    load(&streams, &stream, 777..5_000);
    made.check(&stream, 777, 5_000 - 777);
}

#[test]
fn waiting_in_vain_names_the_files() {
    let folder = TempDir::new().unwrap();
    let streams = Streams::new(0).unwrap();
    let mut wanted = Wanted::new();
    streams.wait_ready(&wanted, Duration::ZERO).unwrap();
    for seed in 0..5 {
        let made = Made::new(folder.path(), Kind::Wav8, 1, 100, seed);
        wanted.add(&streams.open(&made.path).unwrap(), 0..10);
    }
    assert!(!streams.ready(&wanted));
    let error = streams.wait_ready(&wanted, Duration::ZERO).unwrap_err();
    assert!(error.message.contains("100-0.wav") && error.message.contains("and 2 more"), "{error}");
}

#[test]
fn a_stream_that_nobody_has_is_freed_by_the_disk_thread() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Wav8, 1, FRAMES, 1);
    let streams = Streams::new(0).unwrap();
    let stays = streams.open(&made.path).unwrap();
    let goes = streams.open(&made.path).unwrap();
    load(&streams, &goes, 0..100);
    let watch = Arc::downgrade(&goes);
    drop(goes);
    // The last wish still names the stream; the next one is followed after the stream is freed.
    load(&streams, &stays, 0..100);
    assert_eq!(watch.strong_count(), 0);
}

#[test]
fn streams_outlive_the_disk_thread() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Wav24, 1, FRAMES, 1);
    let streams = Streams::new(0).unwrap();
    let stream = streams.open(&made.path).unwrap();
    load(&streams, &stream, 0..100);
    drop(streams);
    made.check(&stream, 0, 100);
    assert_eq!(Arc::strong_count(&stream), 1, "the thread has ended");
    assert!(!read(&stream, 0, FRAMES / 2, 10).0);
}

#[test]
fn samples_that_are_no_numbers_become_silence_and_are_counted() {
    let folder = TempDir::new().unwrap();
    let values = [0.5f32, f32::NAN, f32::INFINITY, -0.25, f32::NEG_INFINITY, 1e-42];
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let path = file(&folder, "wild.wav", &wav(3, 32, 1, &data));
    let streams = Streams::new(0).unwrap();
    let stream = streams.open(&path).unwrap();
    load(&streams, &stream, 0..6);
    assert_eq!(read(&stream, 0, 0, 6), (true, vec![0.5, 0.0, 0.0, -0.25, 0.0, 1e-42]));
    assert_eq!(stream.invalid_samples(), 3);
}
