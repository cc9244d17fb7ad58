//! Real-time priority for the calling thread.

use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id, thread_schedule_policy_param,
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

/// The real-time priority that somebody else has given to the calling thread, or why there is none.
pub fn ask() -> Result<u8, String> {
    match thread_schedule_policy_param(thread_native_id()) {
        Ok((ThreadSchedulePolicy::Realtime(_), param)) => {
            Ok(u8::try_from(param.sched_priority).unwrap_or(u8::MAX))
        }
        Ok(_) => Err("the sound server does not run its clients in real time".into()),
        Err(error) => Err(format!("the priority cannot be asked for: {error:?}")),
    }
}
