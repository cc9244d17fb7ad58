//! What is looked at in the files of the system.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::{Finding, Machine, State, sound};

/// The capabilities that make limits of no account: `CAP_IPC_LOCK` and `CAP_SYS_NICE`.
const IPC_LOCK: u32 = 14;
const SYS_NICE: u32 = 23;
/// The priority that drivers ask for.
const PRIORITY: u64 = 70;

const LIMITS: &str = "/etc/security/limits.d/95-aulos.conf";

/// Everything, in the order in which it is told.
pub fn all(machine: &Machine<'_>) -> Vec<Finding> {
    let mut findings = vec![
        priority(machine),
        memory(machine),
        group(machine),
        governor(machine),
        swap(machine),
        kernel(machine),
    ];
    findings.extend(sound::all(machine));
    findings.push(runtime_dir(machine));
    findings
}

/// The line that gives the group `audio` a limit.
fn limit_line(item: &str, value: &str) -> String {
    format!("echo '@audio - {item} {value}' | sudo tee -a {LIMITS}   # then log in again")
}

/// The soft limit of this process, in the unit of the file; `u64::MAX` where there is no end.
fn limit(machine: &Machine<'_>, name: &str) -> Option<u64> {
    let limits = machine.read("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let value = line.split_whitespace().next()?;
    if value == "unlimited" { Some(u64::MAX) } else { value.parse().ok() }
}

/// A line of this process's status.
fn status(machine: &Machine<'_>, field: &str) -> Option<String> {
    let status = machine.read("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

fn has_capability(machine: &Machine<'_>, bit: u32) -> bool {
    let set = status(machine, "CapEff").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    set.is_some_and(|set| set >> bit & 1 == 1)
}

fn priority(machine: &Machine<'_>) -> Finding {
    const NAME: &str = "real-time priority";
    if has_capability(machine, SYS_NICE) {
        return Finding::ok(NAME, "unlimited, as this user may set any");
    }
    match limit(machine, "Max realtime priority") {
        Some(most) if most >= PRIORITY => Finding::ok(NAME, format!("up to {most}")),
        most => Finding::not_ok(
            NAME,
            State::Missing,
            most.map_or("the limit cannot be read".to_owned(), |most| {
                format!("up to {most}, wanted {PRIORITY}")
            }),
            "Anything that is busy can interrupt the sound.",
            limit_line("rtprio", "95"),
        ),
    }
}

fn memory(machine: &Machine<'_>) -> Finding {
    const NAME: &str = "memory lock";
    if has_capability(machine, IPC_LOCK) {
        return Finding::ok(NAME, "unlimited, as this user may lock all");
    }
    match limit(machine, "Max locked memory") {
        Some(u64::MAX) => Finding::ok(NAME, "unlimited"),
        most => Finding::not_ok(
            NAME,
            State::Warn,
            most.map_or("the limit cannot be read".to_owned(), |most| format!("up to {} KiB", most >> 10)),
            "The server locks its memory only where there is no limit: it can be swapped out, and is missing when it is \
             wanted.",
            limit_line("memlock", "unlimited"),
        ),
    }
}

fn group(machine: &Machine<'_>) -> Finding {
    const NAME: &str = "group audio";
    if status(machine, "Uid").is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0")) {
        return Finding::ok(NAME, "not needed, as this is root");
    }
    let groups = machine.read("/etc/group").unwrap_or_default();
    let id = groups.lines().find_map(|line| line.strip_prefix("audio:")?.split(':').nth(1));
    let Some(id) = id else {
        return Finding::not_ok(
            NAME,
            State::Warn,
            "there is no such group",
            "Distributions give sound devices and real-time limits to this group.",
            "sudo groupadd --system audio && sudo usermod -aG audio \"$USER\"   # then log in again",
        );
    };
    let mine = ["Groups", "Gid"].map(|field| status(machine, field).unwrap_or_default());
    if mine.iter().any(|ids| ids.split_whitespace().any(|mine| mine == id)) {
        return Finding::ok(NAME, "this user is in it");
    }
    let (state, found, means) = match sound::opens(machine) {
        Some(false) => (
            State::Missing,
            "this user is not in it, and cannot open the sound devices",
            "Sound devices, and the limits of real time, are for this group.",
        ),
        // Whoever sits at the machine is given them as long as that lasts.
        Some(true) => (
            State::Warn,
            "this user is not in it, but can open the sound devices",
            "A server that starts before anybody logs in cannot; limits of real time are for this group, too.",
        ),
        None => (
            State::Warn,
            "this user is not in it",
            "Sound devices, once there are any, and the limits of real time are for this group.",
        ),
    };
    Finding::not_ok(NAME, state, found, means, "sudo usermod -aG audio \"$USER\"   # then log in again")
}

fn governor(machine: &Machine<'_>) -> Finding {
    const NAME: &str = "CPU governor";
    let cpus = fs::read_dir(machine.path("/sys/devices/system/cpu")).into_iter().flatten().flatten();
    let mut governors: Vec<String> = cpus
        .filter_map(|cpu| fs::read_to_string(cpu.path().join("cpufreq/scaling_governor")).ok())
        .map(|governor| governor.trim().to_owned())
        .collect();
    governors.sort();
    governors.dedup();
    match governors.as_slice() {
        [] => Finding::ok(NAME, "the frequency is not scaled here"),
        [only] if only == "performance" => Finding::ok(NAME, "performance"),
        found => Finding::not_ok(
            NAME,
            State::Warn,
            found.join(", "),
            "A processor that slows down is late for the next block when much is to be done at once.",
            "sudo cpupower frequency-set -g performance",
        ),
    }
}

fn swap(machine: &Machine<'_>) -> Finding {
    const NAME: &str = "swap";
    /// How eager the kernel may be to swap.
    const SWAPPINESS: u64 = 10;
    let used = machine.read("/proc/swaps").is_some_and(|swaps| swaps.lines().count() > 1);
    if !used {
        return Finding::ok(NAME, "none");
    }
    let eager = machine.read("/proc/sys/vm/swappiness").and_then(|text| text.parse::<u64>().ok());
    match eager {
        Some(eager) if eager <= SWAPPINESS => Finding::ok(NAME, format!("used late (swappiness {eager})")),
        eager => Finding::not_ok(
            NAME,
            State::Warn,
            eager.map_or("in use".to_owned(), |eager| format!("in use, swappiness {eager}")),
            "Files that are read ahead may be swapped out while there is memory enough.",
            "sudo sysctl vm.swappiness=10",
        ),
    }
}

fn kernel(machine: &Machine<'_>) -> Finding {
    const NAME: &str = "kernel";
    let version = machine.read("/proc/version").unwrap_or_default();
    let line = machine.read("/proc/cmdline").unwrap_or_default();
    let has = |word: &str| line.split_whitespace().any(|said| said == word);
    if machine.read("/sys/kernel/realtime").as_deref() == Some("1") || version.contains("PREEMPT_RT") {
        return Finding::ok(NAME, "real-time (PREEMPT_RT)");
    }
    if has("threadirqs") && (has("preempt=full") || version.contains(" PREEMPT ")) {
        return Finding::ok(NAME, "fully preemptible, with threaded interrupts");
    }
    let found = match (version.contains("PREEMPT"), has("threadirqs")) {
        (_, true) => "threaded interrupts, not fully preemptible",
        (true, false) => "preemptible, interrupts are not threaded",
        (false, false) => "not said to be preemptible",
    };
    Finding::not_ok(
        NAME,
        State::Warn,
        found,
        "Other devices' interrupts can hold up the sound; that matters with blocks below about 128 frames.",
        "add \"preempt=full threadirqs\" to GRUB_CMDLINE_LINUX in /etc/default/grub, then sudo update-grub",
    )
}

fn runtime_dir(machine: &Machine<'_>) -> Finding {
    const NAME: &str = "XDG_RUNTIME_DIR";
    let mend = "loginctl enable-linger \"$USER\"   # or log in by a session manager that sets it";
    let Some(dir) = (machine.env)(NAME).filter(|dir| !dir.is_empty()) else {
        let means = "The control socket goes to /run/user or /tmp; other programs may not look for it there.";
        return Finding::not_ok(NAME, State::Warn, "not set", means, mend);
    };
    match fs::metadata(machine.path(&dir)) {
        Ok(about) if about.is_dir() && about.mode() & 0o077 == 0 => Finding::ok(NAME, dir),
        Ok(about) if about.is_dir() => Finding::not_ok(
            NAME,
            State::Warn,
            format!("{dir} can be entered by others"),
            "It should belong to one user alone.",
            format!("chmod 700 {dir}"),
        ),
        _ => Finding::not_ok(
            NAME,
            State::Missing,
            format!("{dir} is no folder"),
            "The control socket cannot be made there.",
            mend,
        ),
    }
}

/// The room on a disk.
pub fn disk(name: &'static str, folder: &Path, free: u64) -> Finding {
    const LEAST: u64 = 100 << 20;
    const FEW: u64 = 2 << 30;
    let found = format!("{} MiB free in {}", free >> 20, folder.display());
    let mend = "df -h, and make room or set [sessions] folder in the configuration";
    match free {
        0..LEAST => Finding::not_ok(name, State::Missing, found, "Sessions and renders will not fit.", mend),
        LEAST..FEW => {
            Finding::not_ok(name, State::Warn, found, "Stereo at 48 kHz takes about 1.3 GiB an hour.", mend)
        }
        _ => Finding::ok(name, found),
    }
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
