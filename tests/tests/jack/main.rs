//! The JACK driver under real JACK servers.

mod heard;
mod loss;
mod patch;
mod rates;
mod refusals;

use aulos_protocol::{DriverStatus, Query, Reply};
use aulos_tests::server::{Server, ask};

/// Where the recorder is.
const RECORDER: &str = env!("CARGO_BIN_EXE_jack-recorder");

fn driver(server: &Server) -> DriverStatus {
    match ask(&mut server.client(), Query::Status) {
        Reply::Status(status) => status.driver,
        other => panic!("{other:?}"),
    }
}
