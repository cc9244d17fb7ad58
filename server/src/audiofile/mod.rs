//! Audio files that are written: what renders and recordings end up in.
//!
//! A [`Writer`] makes a WAV or FLAC file block by block, in bounded memory, and puts it in its place when it is
//! whole. A [`Resampler`] brings blocks to the rate of the file first.

mod dither;
pub mod filter;
mod flac;
mod partial;
mod quantise;
mod resampler;
mod wav;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use quantise::Quantiser;
pub use resampler::Resampler;
pub use writer::{Report, Writer};
