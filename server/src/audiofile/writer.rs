//! Writing an audio file block by block.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aulos_protocol::{AudioFormat, Error, ErrorCode, Rate, SampleDepth};

use super::flac::{self, Flac};
use super::partial::{Partial, refused};
use super::wav::Wav;

/// The most channels that a file may have.
const MOST_CHANNELS: u16 = 64;

/// Makes one audio file. It is called `PATH.partial` until it is whole; if this is dropped before, it is
/// removed.
///
/// Memory: under 1 MiB, and for FLAC some more for 4,096 frames of all channels.
pub struct Writer {
    encoder: Encoder,
    partial: Partial,
    target: PathBuf,
    channels: u16,
    frames: u64,
    most_frames: u64,
    /// Whether writing has failed, so that the file cannot become whole.
    failed: bool,
}

enum Encoder {
    Wav(Wav),
    Flac(Box<Flac>),
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many frames.
    pub frames: u64,
    /// How many samples were beyond what integers can say, and were written as the nearest that they can.
    /// Floating point clips nothing.
    pub clipped: u64,
    /// How many samples were not a number, and were written as 0; in floating point they are left as they are
    /// and not counted.
    pub invalid: u64,
}

impl Writer {
    /// Begins the file at `path`. A file that is there already stays until the new one is whole.
    ///
    /// Errors: `invalid_argument` for channels (1 to 64, FLAC 1 to 8) or a depth that the format does not
    /// have, or if `path` is a folder; `not_found` if its folder does not exist; `busy` if the file is being
    /// written by another; `io`.
    pub fn create(
        path: &Path,
        format: AudioFormat,
        depth: SampleDepth,
        rate: Rate,
        channels: u16,
    ) -> Result<Self, Error> {
        let most_frames = Self::most_frames(format, depth, channels)?;
        let partial = Partial::create(path)?;
        let encoder =
            encoder(&partial, format, depth, rate, channels).map_err(|error| refused(path, &error))?;
        let target = path.to_owned();
        Ok(Self { encoder, partial, target, channels, frames: 0, most_frames, failed: false })
    }

    /// Has integers dithered; floating point needs none. To be said before anything is written.
    pub fn dithered(mut self) -> Self {
        match &mut self.encoder {
            Encoder::Wav(wav) => wav.dither(self.channels),
            Encoder::Flac(flac) => flac.dither(self.channels),
        }
        self
    }

    /// How many frames fit into such a file: a WAV file cannot be larger than 4 GiB.
    ///
    /// Errors: `invalid_argument` if there are no such files.
    pub fn most_frames(format: AudioFormat, depth: SampleDepth, channels: u16) -> Result<u64, Error> {
        let most_channels = match format {
            AudioFormat::Wav => MOST_CHANNELS,
            AudioFormat::Flac => flac::MOST_CHANNELS,
        };
        let invalid = |message| Error::new(ErrorCode::InvalidArgument, message);
        if !(1..=most_channels).contains(&channels) {
            let error = invalid(format!("a {} file cannot have {channels} channels", name(format)))
                .expected(format!("1 to {most_channels} channels"));
            return Err(match format {
                AudioFormat::Flac if channels > 0 => error.remedy("write WAV, or several files"),
                _ => error,
            });
        }
        match (format, depth) {
            (AudioFormat::Flac, SampleDepth::Float32) => {
                Err(invalid("a FLAC file cannot hold floating-point samples".into())
                    .expected("16 or 24 bits"))
                .map_err(|error: Error| error.remedy("choose 24 bits, or write WAV"))
            }
            (AudioFormat::Flac, _) => Ok(flac::MOST_FRAMES),
            (AudioFormat::Wav, _) => Ok(Wav::most_frames(depth, channels)),
        }
    }

    /// Adds a block: a slice for each channel, all of the same length, which may be 0.
    ///
    /// After an error the file cannot be finished any more. Errors: `io`; `invalid_argument` for a block of
    /// another form, or if the file becomes larger than its format allows.
    pub fn write(&mut self, block: &[&[f32]]) -> Result<(), Error> {
        let frames = block.first().map_or(0, |channel| channel.len());
        let failed = std::mem::replace(&mut self.failed, true);
        if block.len() != usize::from(self.channels) || block.iter().any(|channel| channel.len() != frames) {
            let message = format!("a block for {} has another form than the file", self.target.display());
            return Err(Error::new(ErrorCode::InvalidArgument, message)
                .expected(format!("{} channels of the same length", self.channels)));
        }
        if self.most_frames - self.frames < frames as u64 {
            return Err(too_large(&self.target));
        }
        match &mut self.encoder {
            Encoder::Wav(wav) => wav.write(block),
            Encoder::Flac(flac) => flac.write(block),
        }
        .map_err(|error| refused(&self.target, &error))?;
        self.frames += frames as u64;
        self.failed = failed;
        Ok(())
    }

    /// Keeps what was written before writing failed, as a file that can be read: puts it in its place with as many
    /// frames as are whole. Answers with their number.
    pub fn salvage(self) -> Result<u64, Error> {
        let Self { encoder, partial, target, channels, .. } = self;
        let salvaged = match encoder {
            // Dropped, each writes what it still can and closes its own handle.
            Encoder::Wav(wav) => {
                let bytes_a_frame = wav.bytes_a_frame(channels);
                drop(wav);
                super::wav::mend(partial.file(), bytes_a_frame)
            }
            Encoder::Flac(flac) => {
                let blocks = flac.blocks().clone();
                drop(flac);
                flac::mend(partial.file(), blocks)
            }
        };
        let frames = salvaged.map_err(|error| refused(&target, &error))?;
        partial.finish()?;
        Ok(frames)
    }

    /// Makes the file whole and durable, and puts it in its place.
    pub fn finish(self) -> Result<Report, Error> {
        let target = self.target;
        if self.failed {
            return Err(Error::new(
                ErrorCode::Io,
                format!("{} could not be written before", target.display()),
            ));
        }
        let quantiser = match self.encoder {
            Encoder::Wav(wav) => wav.finish(),
            Encoder::Flac(flac) => flac.finish().map(Some),
        }
        .map_err(|error| refused(&target, &error))?;
        self.partial.finish()?;
        let (clipped, invalid) = quantiser.map_or((0, 0), |q| (q.clipped, q.invalid));
        Ok(Report { frames: self.frames, clipped, invalid })
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("target", &self.target)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

fn encoder(
    partial: &Partial,
    format: AudioFormat,
    depth: SampleDepth,
    rate: Rate,
    channels: u16,
) -> io::Result<Encoder> {
    let file = partial.file().try_clone()?;
    match format {
        AudioFormat::Wav => Wav::new(file, depth, rate.hz(), channels).map(Encoder::Wav),
        AudioFormat::Flac => {
            let bits = if depth == SampleDepth::Int16 { 16 } else { 24 };
            Flac::new(file, bits, rate.hz(), channels).map(Box::new).map(Encoder::Flac)
        }
    }
}

fn too_large(target: &Path) -> Error {
    let message = format!("{} would become larger than its format allows", target.display());
    Error::new(ErrorCode::InvalidArgument, message)
        .expected("at most 4 GiB for a WAV file")
        .remedy("write FLAC, fewer bits, fewer channels, or several files")
}

fn name(format: AudioFormat) -> &'static str {
    match format {
        AudioFormat::Wav => "WAV",
        AudioFormat::Flac => "FLAC",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_becomes_too_large_is_refused_before_it_is() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("large.wav");
        for (format, depth) in
            [(AudioFormat::Wav, SampleDepth::Float32), (AudioFormat::Flac, SampleDepth::Int16)]
        {
            let mut writer = Writer::create(&path, format, depth, Rate::default(), 2).unwrap();
            writer.frames = writer.most_frames - 10;
            writer.write(&[&[0.0; 10], &[0.0; 10]]).unwrap();
            let error = writer.write(&[&[0.0; 1], &[0.0; 1]]).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument);
            assert!(error.message.contains("larger") && error.remedy.is_some());
            assert!(writer.finish().is_err());
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
