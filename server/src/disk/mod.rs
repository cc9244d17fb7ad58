//! Audio files that play while they are read.
//!
//! [`Streams`] owns the files and a thread that loads what is [`Wanted`] into memory; a [`Stream`] gives it to
//! the audio thread. Memory is bounded, and a sample depends on the file and its number only, whatever was
//! read before.

mod aiff;
mod cells;
mod decode;
mod disk_thread;
mod flac;
mod flac_end;
mod flac_source;
mod loader;
mod mp4;
mod mpeg;
mod ogg;
mod packets;
mod pcm;
mod refusal;
mod resampled;
mod segments;
mod stream;
mod streams;
mod tags;
mod vorbis;
mod wanted;
mod wav;
mod window;

#[cfg(test)]
mod tests;

pub use decode::probe;
pub use stream::Stream;
pub use streams::{READ_AHEAD, Streams};
pub use wanted::Wanted;

/// All samples of the file at `path`, by channel.
#[cfg(test)]
pub use tests::decode_all as read_all;
