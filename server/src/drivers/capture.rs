//! Writing what a driver plays to a file.

use std::{path::Path, thread::JoinHandle, time::Duration};

use aulos_protocol::{AudioFormat, Error, ErrorCode, Rate, SampleDepth};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::audiofile::Writer;

/// Room between the audio thread and the file, in frames.
const ROOM: usize = 1 << 17;

/// How long the other side is waited for before it is looked at again.
const NAP: Duration = Duration::from_millis(1);

/// Takes blocks from a driver and has them written by a thread of its own.
///
/// These drivers have no device that could not wait: when the disk is slower than the sound for longer than
/// the room lasts, the driver waits, and no frame is lost.
pub struct Capture {
    samples: Producer<f32>,
    writer: Option<JoinHandle<Result<(), Error>>>,
    channels: usize,
}

impl Capture {
    /// Makes the file: FLAC (24 bit) if its name ends so, else WAV (32-bit float).
    ///
    /// # Errors
    /// If the file or the thread cannot be made.
    pub fn create(path: &Path, rate: Rate, channels: usize) -> Result<Self, Error> {
        let flac = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("flac"));
        let (format, depth) = if flac {
            (AudioFormat::Flac, SampleDepth::Int24)
        } else {
            (AudioFormat::Wav, SampleDepth::Float32)
        };
        if channels == 0 {
            return Err(Error::new(ErrorCode::InvalidArgument, "a driver without playback plays nothing")
                .remedy("give it channels with --playback"));
        }
        let writer = Writer::create(path, format, depth, rate, channels as u16)?;
        let (samples, incoming) = RingBuffer::new(ROOM * channels);
        let thread = std::thread::Builder::new()
            .name("aulos-capture".into())
            .spawn(move || write(writer, incoming, channels))
            .map_err(|error| Error::io("start the capture thread", &error))?;
        Ok(Self { samples, writer: Some(thread), channels })
    }

    /// [audio thread] Hands over a block.
    pub fn push(&mut self, playback: &[Vec<f32>], frames: usize) {
        for frame in 0..frames {
            while self.samples.slots() < self.channels {
                if self.samples.is_abandoned() {
                    // The writer has failed; what it says comes with `finish`.
                    return;
                }
                std::thread::sleep(NAP);
            }
            if let Ok(room) = self.samples.write_chunk_uninit(self.channels) {
                room.fill_from_iter(playback.iter().map(|channel| channel[frame]));
            }
        }
    }

    /// Completes the file.
    ///
    /// # Errors
    /// What went wrong while it was written.
    pub fn finish(self) -> Result<(), Error> {
        let Self { samples, writer, .. } = self;
        drop(samples);
        let Some(writer) = writer else { return Ok(()) };
        writer.join().unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the capture thread panicked")))
    }
}

fn write(mut writer: Writer, mut incoming: Consumer<f32>, channels: usize) -> Result<(), Error> {
    const MOST: usize = 4096;
    let mut block = vec![Vec::with_capacity(MOST); channels];
    loop {
        let abandoned = incoming.is_abandoned();
        let frames = (incoming.slots() / channels).min(MOST);
        if frames == 0 {
            if abandoned {
                return writer.finish().map(|_| ());
            }
            std::thread::sleep(NAP);
            continue;
        }
        block.iter_mut().for_each(Vec::clear);
        if let Ok(chunk) = incoming.read_chunk(frames * channels) {
            chunk.into_iter().enumerate().for_each(|(at, sample)| block[at % channels].push(sample));
        }
        let slices: Vec<&[f32]> = block.iter().map(Vec::as_slice).collect();
        writer.write(&slices)?;
    }
}
