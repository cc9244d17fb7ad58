//! Whatever is read in whatever order, sample `n` is sample `n`.

use proptest::prelude::*;

use super::super::cells::CHUNK;
use super::*;

#[derive(Clone, Debug)]
struct Request {
    stream: usize,
    from: u64,
    len: u64,
}

/// With the smallest pools, 4 chunks fit; this many frames fit wherever they begin.
const MOST: u64 = 3 * CHUNK as u64;

fn requests(frames: u64) -> impl Strategy<Value = Vec<Request>> {
    let request = (0..3usize, 0..frames + 5_000, 1..=MOST);
    prop::collection::vec(request.prop_map(|(stream, from, len)| Request { stream, from, len }), 1..40)
}

fn files() -> impl Strategy<Value = (Kind, u16, u64)> {
    (prop::sample::select(&Kind::ALL[..]), prop::sample::select(&[1u16, 2, 5][..]), 1..60_000u64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_gives_the_samples_of_the_file(
        (first, second, requests) in (files(), files()).prop_flat_map(|(first, second)| {
            let frames = first.2.max(second.2);
            (Just(first), Just(second), requests(frames))
        })
    ) {
        let folder = TempDir::new().unwrap();
        let first = Made::new(folder.path(), first.0, first.1, first.2, 1);
        let second = Made::new(folder.path(), second.0, second.1, second.2, 2);
        let streams = Streams::new(0).unwrap();
        // Two of one file, each with a place of its own.
        let open: Vec<_> = [&first, &second, &first]
            .map(|made| (made, streams.open(&made.path).unwrap()))
            .into();
        for Request { stream, from, len } in requests {
            let (made, stream) = &open[stream];
            load(&streams, stream, from..from + len);
            made.check(stream, from, len);
        }
        for (_, stream) in &open {
            prop_assert_eq!(stream.underruns(), 0);
        }
        prop_assert!(streams.take_errors().is_empty());
    }

    /// The decoders themselves, without the cells, and with requests of any length.
    #[test]
    fn decoders_read_anywhere(
        (made, requests) in files().prop_flat_map(|made| {
            (Just(made), prop::collection::vec((0..made.2 + 5_000, 1..20_000usize), 1..30))
        })
    ) {
        let folder = TempDir::new().unwrap();
        let made = Made::new(folder.path(), made.0, made.1, made.2, 3);
        let mut decoder = super::super::decode::open(&made.path).unwrap();
        for (from, len) in requests {
            let mut out = vec![f32::NAN; len * usize::from(made.channels)];
            prop_assert!(decoder.read(from, &mut out).is_ok());
            for (channel, plane) in out.chunks(len).enumerate() {
                assert_same(plane, &made.samples(channel as u16, from, len as u64), from);
            }
        }
    }
}

/// Streaming from beginning to end with a window that moves, as a transport does.
#[test]
fn a_moving_window_plays_the_whole_file() {
    let folder = TempDir::new().unwrap();
    for kind in [Kind::Wav16, Kind::Flac24] {
        let made = Made::new(folder.path(), kind, 2, 200_000, 4);
        let streams = Streams::new(2 * CHUNK as u64).unwrap();
        let stream = streams.open(&made.path).unwrap();
        assert!(stream.capacity() < made.frames);
        let block = 1_111;
        for from in (0..made.frames + block).step_by(block as usize) {
            load(&streams, &stream, from..from + 2 * CHUNK as u64);
            made.check(&stream, from, block);
        }
        assert_eq!((stream.underruns(), streams.underruns()), (0, 0));
    }
}

#[test]
fn reads_at_the_end_of_numbers_are_silent() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Wav16, 1, 100, 5);
    let streams = Streams::new(0).unwrap();
    let stream = streams.open(&made.path).unwrap();
    let mut out = [1.0; 8];
    for from in [100, u64::MAX - 3, u64::MAX] {
        out.fill(1.0);
        assert!(stream.read(0, from, &mut out));
        assert_eq!(out, [0.0; 8]);
    }
    load(&streams, &stream, u64::MAX - 10..u64::MAX);
    load(&streams, &stream, 0..u64::MAX);
    made.check(&stream, 0, 200);
    assert!(stream.read(7, 0, &mut out), "a channel that is not there is silent");
    assert_eq!(out, [0.0; 8]);
}
