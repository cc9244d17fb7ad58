//! Why an audio file cannot be used.

use std::io;
use std::path::Path;

use aulos_protocol::{Error, ErrorCode};

/// The most channels that a track, and so a file, may have.
pub const MAX_CHANNELS: u16 = 64;

/// What is wrong with a file, before its path is known.
#[derive(Debug)]
pub enum Refusal {
    /// It could not be read.
    Io(io::Error),
    /// It is a folder.
    Folder,
    /// It is of none of the formats that are read.
    NotAudio,
    /// It is an audio file of a kind that is not read; the text says which, as "its samples are …".
    Unsupported(String),
    /// Its header makes no sense; the text says where, as "it has no …".
    Malformed(String),
    /// It is sound but there is nothing in it.
    Empty,
    /// It has none or too many channels.
    Channels(u16),
    /// It cannot be brought to the session's rate.
    Rate {
        /// Its rate in Hz.
        from: u32,
        /// That of the session.
        to: u32,
    },
}

/// What is read.
const FORMATS: &str = "a WAV, AIFF, FLAC, Ogg Vorbis, MP3 or AAC file";

impl Refusal {
    /// The error for people, about the file at `path`.
    pub fn about(self, path: &Path) -> Error {
        let path = path.display();
        let invalid = |message| Error::new(ErrorCode::InvalidArgument, message);
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                Error::new(ErrorCode::NotFound, format!("there is no audio file {path}"))
                    .expected(format!("the path of {FORMATS}"))
                    .remedy("check the spelling; relative paths begin at the session's folder")
            }
            Self::Io(error) => Error::io(&format!("read the audio file {path}"), &error)
                .remedy("check that the server may read it and that the disk is well"),
            Self::Folder => invalid(format!("{path} is a folder"))
                .expected(FORMATS)
                .remedy("add the files in it one by one"),
            Self::NotAudio => invalid(format!("{path} is not an audio file that Aulos reads"))
                .expected(FORMATS)
                .remedy("convert it to WAV or FLAC"),
            Self::Unsupported(what) => invalid(format!("{path} cannot be played: {what}"))
                .expected(
                    "WAV or AIFF with integers of 8 to 32 bits or floats of 32 or 64 bits, FLAC of up to 24 bits, \
                     Ogg Vorbis, MP3, or AAC-LC in ADTS or MP4 of 1 or 2 channels",
                )
                .remedy("convert it to one of these"),
            Self::Malformed(what) => invalid(format!("{path} is damaged or unfinished: {what}"))
                .expected(format!("{FORMATS} that is whole"))
                .remedy("copy or export it again"),
            Self::Empty => invalid(format!("{path} holds no samples"))
                .expected("an audio file of at least one frame")
                .remedy("record or export it again"),
            Self::Channels(channels) => invalid(format!("{path} has {channels} channels"))
                .expected(format!("1 to {MAX_CHANNELS} channels"))
                .remedy("split it into files with fewer channels"),
            Self::Rate { from, to } => {
                invalid(format!("{path} has a rate of {from} Hz, which cannot be brought to {to} Hz"))
                    .expected("a common rate, such as 44100 or 48000 Hz")
                    .remedy(format!("convert it: sox {path} -r {to} NEW.wav"))
            }
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
