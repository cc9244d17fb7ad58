//! The stepped driver: a clock that only a command moves.

use std::sync::{
    atomic::Ordering::Relaxed,
    mpsc::{Receiver, RecvTimeoutError},
};
use std::time::Duration;

use aulos_engine::Patience;
use aulos_protocol::Error;

use super::Station;

/// The most cycles in one step.
pub const MOST_BLOCKS: usize = 1_000_000;

/// Told when the cycles have run.
pub type Done = Box<dyn FnOnce() + Send>;

/// What the stepped driver is told.
pub enum Order {
    /// To carry out what was sent to the engine.
    Touch,
    /// To run cycles of these lengths.
    Step(Vec<u32>, Done),
}

/// [audio thread] Does as it is told.
pub fn run(mut station: Station, orders: &Receiver<Order>) -> Result<(), Error> {
    const LOOK_AROUND: Duration = Duration::from_millis(100);
    loop {
        match orders.recv_timeout(LOOK_AROUND) {
            Ok(Order::Touch) => station.touch(),
            Ok(Order::Step(blocks, done)) => {
                let ended = blocks.into_iter().any(|block| {
                    let run = station.cycle(block as usize, &Patience, u64::MAX);
                    station.stats.cycle(0, 0, false);
                    run.is_none_or(|run| run == 0) || station.stop.load(Relaxed)
                });
                done();
                if ended {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if station.stop.load(Relaxed) {
            break;
        }
    }
    station.end()
}
