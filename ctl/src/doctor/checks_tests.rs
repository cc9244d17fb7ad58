use std::os::unix::fs::PermissionsExt;

use super::{super::tree::Tree, *};

fn limits(rtprio: &str, memlock: &str) -> String {
    format!(
        "Limit                     Soft Limit           Hard Limit           Units\n\
         Max locked memory         {memlock}            {memlock}            bytes\n\
         Max realtime priority     {rtprio}                   {rtprio}\n\
         Max realtime timeout      unlimited            unlimited            us\n"
    )
}

fn user(id: &str, groups: &str, capabilities: &str) -> String {
    let ids = [id; 4].join("\t");
    format!("Name:\tx\nUid:\t{ids}\nGid:\t{ids}\nGroups:\t{groups}\nCapEff:\t{capabilities}\n")
}

#[test]
fn a_studio_has_nothing_to_mend() {
    let tree = Tree::new();
    tree.write("/proc/self/limits", &limits("95", "unlimited"))
        .write("/proc/self/status", &user("1000", "4 29 1000", "0000000000000000"))
        .write("/etc/group", "root:x:0:\naudio:x:29:me\n")
        .write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
        .write("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n")
        .write("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n")
        .write("/proc/sys/vm/swappiness", "10\n")
        .write("/proc/version", "Linux version 6.1 (x) #1 SMP PREEMPT_DYNAMIC Debian\n")
        .write("/proc/cmdline", "root=/dev/sda1 preempt=full threadirqs\n")
        .write("/proc/12/comm", "jackd\n")
        .write("/proc/13/comm", "pipewire\n")
        .write("/proc/14/comm", "pipewire\n")
        .write("/usr/lib/x86_64-linux-gnu/libjack.so.0", "")
        .write("/proc/asound/cards", " 0 [PCH            ]: HDA-Intel - HDA Intel PCH\n     at 0xf7\n")
        .write("/run/user/1000/x", "");
    fs::set_permissions(tree.path("run/user/1000"), fs::Permissions::from_mode(0o700)).unwrap();
    let found = tree.look(&|name| (name == "XDG_RUNTIME_DIR").then(|| "/run/user/1000".into()));
    for (name, text) in [
        ("real-time priority", "up to 95"),
        ("memory lock", "unlimited"),
        ("group audio", "this user is in it"),
        ("CPU governor", "performance"),
        ("swap", "used late (swappiness 10)"),
        ("kernel", "fully preemptible, with threaded interrupts"),
        ("sound servers", "JACK, PipeWire"),
        ("ALSA plugin", "not needed, as neither PipeWire nor PulseAudio has the cards"),
        ("JACK library", "/usr/lib/x86_64-linux-gnu/libjack.so.0"),
        ("sound cards", "HDA-Intel - HDA Intel PCH"),
        ("XDG_RUNTIME_DIR", "/run/user/1000"),
    ] {
        assert_eq!(found[name], Finding::ok(name, text));
    }
    assert_eq!(found.len(), 11);
}

#[test]
fn a_machine_as_it_comes_is_told_what_to_mend() {
    let tree = Tree::new();
    tree.write("/proc/self/limits", &limits("0", "8388608"))
        .write("/proc/self/status", &user("1000", "1000", "0000000000000000"))
        .write("/etc/group", "audio:x:29:\n")
        .write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
        .write("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n")
        .write("/proc/swaps", "Filename\n/swap file 1 0 -2\n")
        .write("/proc/sys/vm/swappiness", "60\n")
        .write("/proc/version", "Linux version 6.1 #1 SMP PREEMPT_DYNAMIC Debian\n")
        .write("/proc/cmdline", "quiet\n")
        .write("/proc/17/comm", "bash\n")
        .write("/proc/asound/cards", "--- no soundcards ---\n")
        .link("/dev/snd/pcmC0D0p", "unplugged")
        .write("/open/x", "");
    fs::set_permissions(tree.path("open"), fs::Permissions::from_mode(0o755)).unwrap();
    let found = tree.look(&|name| (name == "XDG_RUNTIME_DIR").then(|| "/open".into()));
    for (name, state, text, mend) in [
        ("real-time priority", State::Missing, "up to 0, wanted 70", "@audio - rtprio 95"),
        ("memory lock", State::Warn, "up to 8192 KiB", "@audio - memlock unlimited"),
        (
            "group audio",
            State::Missing,
            "this user is not in it, and cannot open the sound devices",
            "usermod -aG audio",
        ),
        ("CPU governor", State::Warn, "performance, powersave", "frequency-set -g performance"),
        ("swap", State::Warn, "in use, swappiness 60", "vm.swappiness=10"),
        ("kernel", State::Warn, "preemptible, interrupts are not threaded", "threadirqs"),
        ("sound servers", State::Warn, "none is running", "apt install pipewire wireplumber"),
        ("JACK library", State::Warn, "libjack.so.0 is not found", "apt install libjack-jackd2-0"),
        ("sound cards", State::Warn, "none", "lsusb"),
        ("XDG_RUNTIME_DIR", State::Warn, "/open can be entered by others", "chmod 700 /open"),
    ] {
        let finding = &found[name];
        assert_eq!((finding.state, finding.found.as_str()), (state, text), "{name}");
        assert!(finding.mend.as_ref().unwrap().contains(mend) && finding.means.is_some(), "{finding:?}");
    }
    assert_eq!(found["ALSA plugin"].state, State::Ok);
}

#[test]
fn who_is_given_the_devices_otherwise_gets_a_hint_about_the_group() {
    let tree = Tree::new();
    tree.write("/proc/self/status", &user("1000", "1000", "0000000000000000"))
        .write("/etc/group", "audio:x:29:\n");
    let state = |tree: &Tree| tree.look(&|_| None)["group audio"].clone();
    assert_eq!((state(&tree).state, state(&tree).found.as_str()), (State::Warn, "this user is not in it"));
    // What is no device of sound does not count.
    tree.write("/dev/snd/seq", "").link("/dev/snd/pcmC0D0c", "unplugged");
    assert_eq!(state(&tree).state, State::Missing);
    tree.write("/dev/snd/pcmC1D0p", "");
    let found = state(&tree);
    assert_eq!(found.state, State::Warn);
    assert!(found.found.contains("can open") && found.mend.unwrap().contains("usermod"), "{}", found.found);
}

#[test]
fn capabilities_and_root_need_no_limits_and_nothing_at_all_is_no_panic() {
    let tree = Tree::new();
    tree.write("/proc/self/limits", &limits("0", "0"))
        .write("/proc/self/status", &user("0", "", "0000000000804000"))
        .write("/sys/kernel/realtime", "1\n");
    let found = tree.look(&|_| None);
    for name in ["real-time priority", "memory lock", "group audio", "kernel", "CPU governor", "swap"] {
        assert_eq!(found[name].state, State::Ok, "{name}");
    }
    assert_eq!(found["XDG_RUNTIME_DIR"].state, State::Warn);
    let nothing = Tree::new();
    let found = nothing.look(&|name| (name == "XDG_RUNTIME_DIR").then(|| "/gone".into()));
    assert_eq!(found["real-time priority"].found, "the limit cannot be read");
    assert_eq!(found["XDG_RUNTIME_DIR"].state, State::Missing);
    assert_eq!(found["group audio"].found, "there is no such group");
}

#[test]
fn a_full_disk_is_told() {
    let state = |free: u64| disk("disk", Path::new("/s"), free).state;
    assert_eq!((state(1 << 20), state(1 << 30), state(1 << 40)), (State::Missing, State::Warn, State::Ok));
}
