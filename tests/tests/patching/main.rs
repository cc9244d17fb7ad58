//! Sessions that are built, patched, read back, saved and rendered by `aulosctl` alone, and replicas of them.

mod desk;
mod dry_runs;
mod effects;
mod history;
mod kinds;
mod listed;
mod loops;
mod mirrors;
mod moves;
mod renders;
mod sessions;
mod stems;
mod timed;
mod values;
mod words;
