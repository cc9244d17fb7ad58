//! Audio files that other people's programs wrote, played and rendered sample for sample as `sox` and `ffmpeg`
//! decode them.
//!
//! They come from these Debian packages, which `make deps` installs:
//!
//! - `alsa-utils`: WAV, 48 kHz, mono, 16 bit
//! - `hydrogen-data`: WAV and FLAC, 44.1 kHz, mono and stereo, 16 bit
//! - `sonic-pi-samples`: FLAC, 44.1 kHz, mono and stereo, 16 and 24 bit
//! - `jconvolver-config-files`: WAV, 44.1 and 48 kHz, mono in 32-bit float, stereo in 16 bit
//! - `puredata-doc`: AIFF, 44.1 kHz, mono, 16 bit
//! - `sound-theme-freedesktop`: Ogg Vorbis, 8, 22.05, 44.1, 48 and 96 kHz, mono and stereo
//! - `python-pygame-doc`: Ogg Vorbis and MP3, 11.025 kHz, mono
//! - `wims-help`: MP3, 44.1 kHz, stereo and mono
//! - `forensics-samples-files`: Ogg Vorbis and MP3, 44.1 kHz, mono; AAC in MP4, 48 kHz, stereo
//!
//! The programs are in the packages `sox`, `ffmpeg` and `flac`. What no package has in a handy size (24 and 32
//! bits in WAV, 8 bits, other rates, AAC in ADTS and at other rates) is made of these files by the three programs.

mod anywhere;
mod lossless;
mod lossy;
mod lost;
mod playing;
mod samples;
