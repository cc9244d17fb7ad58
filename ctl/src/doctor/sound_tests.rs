use super::{super::tree::Tree, *};

const LIB: &str = "/usr/lib/x86_64-linux-gnu";
const CARDS: &str = " 0 [PCH            ]: HDA-Intel - HDA Intel PCH\n                      at 0xf7\n";

/// A machine on which these programs run.
fn running(programs: &[&str]) -> Tree {
    let tree = Tree::new();
    for (number, program) in programs.iter().enumerate() {
        tree.write(&format!("/proc/{}/comm", number + 100), &format!("{program}\n"));
    }
    tree
}

fn look(tree: &Tree, name: &str) -> (State, String, String) {
    let found = tree.look(&|name| (name == "HOME").then(|| "/home/me".into()))[name].clone();
    assert_eq!(found.state != State::Ok, found.mend.is_some() && found.means.is_some(), "{found:?}");
    (found.state, found.found, found.mend.unwrap_or_default())
}

#[test]
fn without_server_and_card_there_is_a_line_for_what_is_installed() {
    for (program, mend) in [
        ("/usr/bin/pipewire", "systemctl --user enable --now pipewire"),
        ("/usr/bin/pulseaudio", "pulseaudio --start"),
        ("/usr/bin/true", "sudo apt install pipewire "),
    ] {
        let tree = running(&["bash"]);
        tree.write(program, "");
        let (state, found, line) = look(&tree, "sound servers");
        assert_eq!((state, found.as_str()), (State::Warn, "none is running"));
        assert!(line.starts_with(mend), "{line}");
        // A card is enough.
        tree.write("/proc/asound/cards", CARDS);
        let (state, found, _) = look(&tree, "sound servers");
        assert_eq!((state, found.as_str()), (State::Ok, "none is running: sound cards are used directly"));
    }
    let (state, found, _) = look(&running(&["pulseaudio", "jackdbus"]), "sound servers");
    assert_eq!((state, found.as_str()), (State::Ok, "JACK, PulseAudio"));
}

#[test]
fn a_desktop_without_its_alsa_plugin_is_told_the_package() {
    let module = |name: &str| format!("{LIB}/alsa-lib/libasound_module_pcm_{name}.so");
    for (programs, name, package, conf) in [
        (&["pipewire"][..], "pipewire", "pipewire-alsa", "/etc/alsa/conf.d/99-pipewire-default.conf"),
        (&["pipewire"], "pipewire", "pipewire-alsa", "/usr/share/alsa/alsa.conf.d/50-pipewire.conf"),
        (&["pipewire", "pipewire-pulse"], "pulse", "pipewire-alsa", "/etc/alsa/conf.d/50-pulseaudio.conf"),
        (&["pulseaudio"], "pulse", "libasound2-plugins", "/usr/share/alsa/alsa.conf.d/pulse.conf"),
    ] {
        let missing = |tree: &Tree| {
            let (state, _, line) = look(tree, "ALSA plugin");
            assert_eq!((state, line), (State::Warn, format!("sudo apt install {package}")), "{conf}");
        };
        let tree = running(programs);
        missing(&tree);
        // The configuration alone, the module alone, and an example are not enough.
        tree.write(conf, "");
        missing(&tree);
        let tree = running(programs);
        tree.write(&module(name), "").write(&format!("{conf}.example"), "");
        missing(&tree);
        tree.write(conf, "");
        assert_eq!(look(&tree, "ALSA plugin").0, State::Ok, "{conf}");
    }
    // One's own configuration does as well.
    let tree = running(&["pulseaudio"]);
    tree.write(&module("pulse"), "").write("/home/me/.asoundrc", "pcm.!default { type pulse }\n");
    assert_eq!(look(&tree, "ALSA plugin").0, State::Ok);
    // PulseAudio's plugin leads nowhere if nothing answers it.
    let tree = running(&["pipewire"]);
    tree.write(&module("pulse"), "").write("/etc/alsa/conf.d/50-pulseaudio.conf", "");
    assert_eq!(look(&tree, "ALSA plugin").0, State::Warn);
    assert_eq!(look(&running(&["jackd", "pipewire"]), "ALSA plugin").0, State::Ok);
    assert_eq!(look(&running(&[]), "ALSA plugin").0, State::Ok);
}

#[test]
fn a_jack_library_that_is_not_found_is_told_with_its_package() {
    for (programs, package) in [
        (&[][..], "libjack-jackd2-0"),
        (&["jackd"], "libjack-jackd2-0"),
        (&["jackd", "pipewire"], "libjack-jackd2-0"),
        (&["pipewire"], "pipewire-jack"),
    ] {
        let (state, found, line) = look(&running(programs), "JACK library");
        assert_eq!((state, found.as_str()), (State::Warn, "libjack.so.0 is not found"));
        assert_eq!(line, format!("sudo apt install {package}"), "{programs:?}");
    }
    for folder in [LIB, "/usr/lib64", "/usr/local/lib", "/lib/aarch64-linux-gnu"] {
        let tree = running(&[]);
        tree.write(&format!("{folder}/libjack.so.0"), "");
        let (state, found, _) = look(&tree, "JACK library");
        assert_eq!((state, found), (State::Ok, format!("{folder}/libjack.so.0")));
    }
    // PipeWire's lies where it is looked for only if that is said.
    let tree = running(&["pipewire"]);
    let own = format!("{LIB}/pipewire-0.3/jack");
    tree.write(&format!("{own}/libjack.so.0"), "");
    let (state, found, line) = look(&tree, "JACK library");
    assert!(state == State::Warn && found.contains(&own), "{found}");
    assert!(line.starts_with(&format!("echo {own} | sudo tee /etc/ld.so.conf.d/")), "{line}");
    tree.write("/etc/ld.so.conf.d/pipewire-jack.conf", &format!("# PipeWire\n{own}/\n"));
    assert_eq!(look(&tree, "JACK library").0, State::Ok);
    let tree = running(&[]);
    tree.write("/opt/jack/libjack.so.0", "");
    let env = |name: &str| (name == "LD_LIBRARY_PATH").then(|| "relative:/opt/jack".to_owned());
    assert_eq!(tree.look(&env)["JACK library"], Finding::ok("JACK library", "/opt/jack/libjack.so.0"));
}
