//! Reading while writing.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::cells::{CHUNK, Keeper};
use super::*;

/// A sample that says where it belongs, exactly.
fn mark(chunk: u32, channel: u16, offset: usize) -> f32 {
    (chunk * 2 * CHUNK as u32 + u32::from(channel) * CHUNK as u32 + offset as u32) as f32
}

#[test]
fn what_is_read_while_it_is_replaced_is_right_or_missing() {
    const CHUNKS: u32 = 5;
    let mut keeper = Keeper::new(2, CHUNKS, 2);
    let cells = keeper.cells().clone();
    let contents: Vec<Vec<f32>> = (0..CHUNKS)
        .map(|chunk| (0..2 * CHUNK).map(|n| mark(chunk, (n / CHUNK) as u16, n % CHUNK)).collect())
        .collect();
    let present = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let readers = [0, 1u64].map(|reader| {
            let (cells, present) = (&cells, &present);
            scope.spawn(move || {
                let mut out = vec![0.0; CHUNK];
                let mut n = 0;
                // At least so many reads, and some of them must have found something.
                while n < 1_000_000 || present.load(Ordering::Relaxed) == 0 {
                    let random = hash(reader << 32 | n);
                    let (chunk, channel) = ((random % u64::from(CHUNKS)) as u32, (random >> 8 & 1) as u16);
                    let offset = (random >> 16) as usize % CHUNK;
                    let len = 1 + (random >> 32) as usize % (CHUNK - offset);
                    if cells.read(chunk, channel, offset, &mut out[..len]) {
                        present.fetch_add(1, Ordering::Relaxed);
                        for (at, sample) in (offset..).zip(&out[..len]) {
                            assert_eq!(*sample, mark(chunk, channel, at));
                        }
                    }
                    n += 1;
                }
            })
        });
        let mut n = 0;
        while readers.iter().any(|reader| !reader.is_finished()) {
            let chunk = (hash(n) % u64::from(CHUNKS)) as u32;
            if !cells.has(chunk) {
                keeper.put(chunk, &contents[chunk as usize], &[chunk]);
            }
            n += 1;
        }
    });
    assert!(present.load(Ordering::Relaxed) > 0);
}

#[test]
fn what_is_wanted_is_never_replaced() {
    let mut keeper = Keeper::new(3, 10, 1);
    let cells = keeper.cells().clone();
    let samples = vec![0.5; CHUNK];
    for chunk in 0..3 {
        keeper.put(chunk, &samples, &[0, 1, 2]);
    }
    keeper.put(5, &samples, &[0, 2, 5]);
    assert!(cells.has(0) && !cells.has(1) && cells.has(2) && cells.has(5));
    keeper.put(6, &samples, &[0, 2, 5]);
    assert!(!cells.has(6), "there is no room for what is not wanted");
    keeper.put(7, &samples, &[5, 6, 7]);
    assert!(!cells.has(0) && cells.has(2) && cells.has(7), "the oldest goes first");
}

/// A stream, and the samples of its channels.
type Open = (Arc<Stream>, [Vec<f32>; 2]);

/// The whole machine: a reader, a disk thread that is sent here and there, and too little memory.
#[test]
fn streams_read_while_they_are_loaded_are_right_or_missing() {
    let folder = TempDir::new().unwrap();
    let streams = Streams::new(0).unwrap();
    let open = [Kind::Wav16, Kind::Flac16].map(|kind| {
        let made = Made::new(folder.path(), kind, 2, 60_000, 6);
        let stream = streams.open(&made.path).unwrap();
        (stream, [made.samples(0, 0, 80_000), made.samples(1, 0, 80_000)])
    });
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_at_random(&open));
        let mut n = 0;
        while !reader.is_finished() {
            let mut wanted = Wanted::new();
            for (index, (stream, _)) in open.iter().enumerate() {
                let from = hash(n * 2 + index as u64) % 60_000;
                wanted.add(stream, from..from + 9_000);
            }
            streams.want(wanted.clone());
            if n % 3 == 0 {
                streams.wait_ready(&wanted, PATIENCE).unwrap();
            }
            n += 1;
        }
    });
    assert!(streams.take_errors().is_empty());
}

/// At least so many reads, and some of them must have found all that they wanted.
fn read_at_random(open: &[Open; 2]) {
    let mut out = vec![0.0; 8_000];
    let mut complete = 0;
    let mut n = 0;
    while n < 30_000 || complete == 0 {
        let random = hash(n ^ 0x5555);
        let (stream, samples) = &open[(random & 1) as usize];
        let channel = (random >> 1 & 1) as u16;
        let from = (random >> 8) as usize % 70_000;
        let len = 1 + (random >> 40) as usize % out.len();
        let whole = stream.read(channel, from as u64, &mut out[..len]);
        complete += usize::from(whole);
        let right = &samples[usize::from(channel)][from..from + len];
        let mut at = 0;
        while at < len {
            let next = len.min(at + CHUNK - (from + at) % CHUNK);
            let (part, right) = (&out[at..next], &right[at..next]);
            let silent = !whole && part.iter().all(|&sample| sample == 0.0);
            assert!(part == right || silent, "at frame {}", from + at);
            at = next;
        }
        n += 1;
    }
}
