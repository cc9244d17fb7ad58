//! Another rate for audio that is written.

use std::fmt;

use aulos_protocol::{Error, ErrorCode, Rate};
use rubato::audioadapter_buffers::owned::SequentialOwned;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};
