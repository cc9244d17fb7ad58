//! Memory that stays: what the audio thread touches must not have to be read from a disk first.

use std::fs;

use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{Resource, getrlimit},
    thread::{CapabilitySet, capabilities},
};

/// Locks all memory of this process, now and later, if there is no limit to it.
///
/// Where there is a limit nothing is locked: memory beyond it would be refused, and the server would end.
///
/// # Errors
/// Why nothing is locked, and what to do.
pub fn lock() -> Result<(), String> {
    if let Some(most) = getrlimit(Resource::Memlock).current
        && !is_above_limits()
    {
        let most = most >> 10;
        return Err(format!("the limit is {most} KiB; set memlock to unlimited for this user"));
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)
        .map_err(|error| format!("the kernel refuses: {}", std::io::Error::from(error)))
}

/// Whether limits are of no account to this process. A capability within a user namespace is not enough.
fn is_above_limits() -> bool {
    let may = capabilities(None).is_ok_and(|own| own.effective.contains(CapabilitySet::IPC_LOCK));
    may && fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}
