//! The offline driver: as fast as disk and processor allow.

use std::sync::atomic::Ordering::Relaxed;

use aulos_engine::Patience;
use aulos_protocol::Error;

use super::Station;
use crate::library::ReadAhead;

/// [audio thread] Runs cycles one after the other, each as soon as the files hold what it needs.
pub fn run(mut station: Station, read_ahead: &ReadAhead) -> Result<(), Error> {
    let mut played = 0;
    while !station.stop.load(Relaxed) {
        if let Err(error) = read_ahead.wait(u64::from(station.setup.block)) {
            tracing::warn!("{error}");
        }
        let begun = std::time::Instant::now();
        let run = station.cycle(station.setup.block as usize, &Patience, u64::MAX) as u64;
        if run == 0 {
            break;
        }
        played += run;
        let audio = u128::from(run) * 1_000_000_000 / u128::from(station.rate.hz());
        station.stats.cycle(begun.elapsed().as_nanos() as u64, audio as u64, false);
        if let Some(rate) = station.seat.take_changed_rate() {
            station.rate = rate;
        }
    }
    tracing::info!("the offline driver has run {played} frames");
    station.end()
}
