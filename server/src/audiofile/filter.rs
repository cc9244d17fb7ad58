//! The filter between two rates.

use rubato::{Fft, FixedSync, ResamplerConstructionError, WindowFunction};

/// The filter spans at least this many frames of the lower rate: it passes up to 99 % of what that rate can hold,
/// and what it cannot hold is more than 120 dB down.
const SPAN: u32 = 4_096;

/// How many frames of rate `from` the filter takes at a time, and how many of rate `to` it makes of them. Both
/// rates are in Hz, and not 0.
pub fn blocks(from: u32, to: u32) -> (usize, usize) {
    let divisor = gcd(from, to);
    let (unit_in, unit_out) = (from / divisor, to / divisor);
    // Even, so that the delay is a whole number of frames at both rates.
    let units = SPAN.div_ceil(unit_in.min(unit_out)).next_multiple_of(2);
    (unit_in as usize * units as usize, unit_out as usize * units as usize)
}

/// The filter from rate `from` to rate `to`. A block that it makes depends on the one that it was given last and
/// the one before that, and on nothing else.
///
/// Memory: for each channel some ten blocks in double precision.
///
/// Errors: for no channels.
pub fn new(from: u32, to: u32, channels: usize) -> Result<Fft<f64>, ResamplerConstructionError> {
    Fft::new_custom(
        from as usize,
        to as usize,
        blocks(from, to).0,
        1,
        channels,
        WindowFunction::BlackmanHarris2,
        FixedSync::Both,
    )
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
