//! Writing what a driver plays to a file.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

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
    /// Makes the file by the ending of its name: .flac (24 bit) or .wav (32-bit float).
    ///
    /// # Errors
    /// `InvalidArgument` for another ending, or if the file or the thread cannot be made.
    pub fn create(path: &Path, rate: Rate, channels: usize) -> Result<Self, Error> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let (format, depth) = match ending.as_deref() {
            Some("flac") => (AudioFormat::Flac, SampleDepth::Int24),
            Some("wav") => (AudioFormat::Wav, SampleDepth::Float32),
            _ => {
                let message = format!("the name {} does not say which format", path.display());
                return Err(Error::new(ErrorCode::InvalidArgument, message)
                    .expected("a name that ends in .wav or .flac"));
            }
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
                    // The writer has failed, and said so.
                    return;
                }
                std::thread::sleep(NAP);
            }
            if let Ok(room) = self.samples.write_chunk_uninit(self.channels) {
                room.fill_from_iter(playback.iter().map(|channel| channel[frame]));
            }
        }
    }

    /// Why a capture of this process had to stop early, if one has since this was asked last.
    pub fn take_failure() -> Option<Error> {
        FAILURE.lock().unwrap_or_else(PoisonError::into_inner).take()
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

/// What nobody has taken notice of yet. There is one capture at most in a process.
static FAILURE: Mutex<Option<Error>> = Mutex::new(None);

/// Keeps what was written, and tells at once: a recording may be meant to go on for hours.
fn give_up(writer: Writer, error: Error) -> Error {
    let kept = match writer.salvage() {
        Ok(frames) => format!("what came before is kept: {frames} frames"),
        Err(lost) => format!("what came before is lost: {}", lost.message),
    };
    let message = format!("the capture has stopped: {}; {kept}", error.message);
    let told = Error { message, ..error };
    *FAILURE.lock().unwrap_or_else(PoisonError::into_inner) = Some(told.clone());
    told
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
        if let Err(error) = writer.write(&slices) {
            return Err(give_up(writer, error));
        }
    }
}
