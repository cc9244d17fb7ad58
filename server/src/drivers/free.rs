//! The offline driver: as fast as disk and processor allow.

use std::sync::atomic::Ordering::Relaxed;

use aulos_engine::Patience;
use aulos_protocol::Error;

use super::{Station, monotonic::duration_ns};
use crate::library::ReadAhead;

/// [audio thread] Runs cycles one after the other, each as soon as the files hold what it needs.
pub fn run(mut station: Station, read_ahead: &ReadAhead) -> Result<(), Error> {
    let mut played = 0;
    let block = station.block.load(Relaxed);
    while !station.stop.load(Relaxed) {
        if let Err(error) = read_ahead.wait(u64::from(block)) {
            tracing::warn!("{error}");
        }
        let begun = std::time::Instant::now();
        let run = station.cycle(block as usize, &Patience, u64::MAX).unwrap_or(0) as u64;
        if run == 0 {
            break;
        }
        played += run;
        station.stats.cycle(begun.elapsed().as_nanos() as u64, duration_ns(run, station.rate), false);
    }
    tracing::info!("the offline driver has run {played} frames");
    station.end()
}
