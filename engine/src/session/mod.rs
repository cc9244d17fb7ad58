//! The session: how commands change it, what makes it valid, and its history.

mod apply;
mod clips;
mod groups;
mod history;
mod limits;
mod names;
mod nodes;
mod validate;

pub use apply::{Outcome, apply};
pub use clips::name_files;
pub use history::History;
pub use limits::MAX_BATCH;
pub(crate) use limits::check_memory;
pub use validate::{MAX_POSITION, loop_range, max_block, validate};
