//! Real-time priority for the calling thread.

use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// Below what watchdogs use, above everything else that runs by default.
const PRIORITY: u8 = 70;

/// Gives the calling thread SCHED_FIFO; the priority, or why it is refused.
pub fn request() -> Result<u8, String> {
    let priority = ThreadPriority::Crossplatform(PRIORITY.try_into()?);
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    match set_thread_priority_and_policy(thread_native_id(), priority, policy) {
        Ok(()) => Ok(PRIORITY),
        Err(error) => Err(format!("SCHED_FIFO is refused: {error:?}; raise the limit rtprio for this user")),
    }
}
