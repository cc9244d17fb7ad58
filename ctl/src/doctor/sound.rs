//! What is looked at of sound: cards, servers, and the libraries that lead to them.

use super::{Finding, Machine, State};

/// Where libraries are, and in folders of these that are named after a machine.
const LIBRARIES: [&str; 5] = ["/usr/local/lib", "/usr/lib", "/usr/lib64", "/lib", "/lib64"];
/// Where ALSA reads what plugins add to its configuration.
const ALSA: [&str; 2] = ["/etc/alsa/conf.d", "/usr/share/alsa/alsa.conf.d"];

/// Servers that run, and cards.
pub struct Sound {
    jack: bool,
    pipewire: bool,
    /// PipeWire's place of PulseAudio, or PulseAudio itself.
    pulse: bool,
    pulseaudio: bool,
    cards: Vec<String>,
}

/// Everything of sound, in the order in which it is told.
pub fn all(machine: &Machine<'_>) -> Vec<Finding> {
    let sound = Sound::of(machine);
    vec![sound.servers(machine), sound.plugin(machine), sound.jack_library(machine), sound.devices()]
}

/// Whether any sound device can be opened by this user; nothing where there is none.
pub fn opens(machine: &Machine<'_>) -> Option<bool> {
    let nodes: Vec<String> =
        machine.names("/dev/snd").into_iter().filter(|name| name.starts_with("pcm")).collect();
    let opens = |name: &String| machine.opens(&format!("/dev/snd/{name}"));
    (!nodes.is_empty()).then(|| nodes.iter().any(opens))
}

impl Sound {
    fn of(machine: &Machine<'_>) -> Self {
        let processes = machine.names("/proc");
        let numbers = processes.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let programs: Vec<String> =
            numbers.filter_map(|number| machine.read(&format!("/proc/{number}/comm"))).collect();
        let runs = |names: &[&str]| programs.iter().any(|program| names.contains(&program.as_str()));
        let cards = machine.read("/proc/asound/cards").unwrap_or_default();
        // " 0 [PCH            ]: HDA-Intel - HDA Intel PCH", then a line with more of it.
        let cards = cards.lines().filter_map(|line| line.split_once("]: ").map(|(_, name)| name.to_owned()));
        Self {
            jack: runs(&["jackd", "jackdbus"]),
            pipewire: runs(&["pipewire"]),
            pulse: runs(&["pipewire-pulse", "pulseaudio"]),
            pulseaudio: runs(&["pulseaudio"]),
            cards: cards.collect(),
        }
    }

    fn servers(&self, machine: &Machine<'_>) -> Finding {
        const NAME: &str = "sound servers";
        let known = [(self.jack, "JACK"), (self.pipewire, "PipeWire"), (self.pulseaudio, "PulseAudio")];
        let found: Vec<&str> = known.into_iter().filter_map(|(runs, name)| runs.then_some(name)).collect();
        if !found.is_empty() {
            return Finding::ok(NAME, found.join(", "));
        }
        if !self.cards.is_empty() {
            return Finding::ok(NAME, "none is running: sound cards are used directly");
        }
        let mend = if machine.is_there("/usr/bin/pipewire") {
            "systemctl --user enable --now pipewire wireplumber"
        } else if machine.is_there("/usr/bin/pulseaudio") {
            "pulseaudio --start"
        } else {
            "sudo apt install pipewire wireplumber pipewire-alsa   # then log in again"
        };
        Finding::not_ok(
            NAME,
            State::Warn,
            "none is running",
            "As there is no sound card either, only a server could lead to something that is heard.",
            mend,
        )
    }

    /// What leads from ALSA to the server that has the card.
    fn plugin(&self, machine: &Machine<'_>) -> Finding {
        const NAME: &str = "ALSA plugin";
        if self.jack || !(self.pipewire || self.pulseaudio) {
            return Finding::ok(NAME, "not needed, as neither PipeWire nor PulseAudio has the cards");
        }
        let (server, package) = match self.pipewire {
            true => ("PipeWire", "pipewire-alsa"),
            false => ("PulseAudio", "libasound2-plugins"),
        };
        if self.pipewire && has_plugin(machine, "pipewire") {
            return Finding::ok(NAME, "PipeWire's");
        }
        // PipeWire takes PulseAudio's, too, if its stand-in for that runs.
        if self.pulse && has_plugin(machine, "pulse") {
            return Finding::ok(NAME, "PulseAudio's");
        }
        Finding::not_ok(
            NAME,
            State::Warn,
            format!("{server} runs, and ALSA does not lead to it"),
            "The driver alsa has the card alone or finds it busy, instead of being heard beside other programs.",
            format!("sudo apt install {package}"),
        )
    }

    /// What the driver `jack` loads.
    fn jack_library(&self, machine: &Machine<'_>) -> Finding {
        const NAME: &str = "JACK library";
        const FILE: &str = "libjack.so.0";
        let folders = libraries(machine);
        let find = |below: &str| {
            let paths = folders.iter().map(|folder| format!("{folder}/{below}{FILE}"));
            paths.into_iter().find(|path| machine.is_there(path))
        };
        if let Some(path) = find("") {
            return Finding::ok(NAME, path);
        }
        let means = "The driver jack cannot be used.";
        if let Some(path) = find("pipewire-0.3/jack/") {
            let folder = path.trim_end_matches(FILE).trim_end_matches('/');
            let mend = format!(
                "echo {folder} | sudo tee /etc/ld.so.conf.d/pipewire-jack.conf && sudo ldconfig   # or pw-jack aulosd"
            );
            let found = format!("only PipeWire's, in {folder}, where programs do not look");
            return Finding::not_ok(NAME, State::Warn, found, means, mend);
        }
        let package = if self.pipewire && !self.jack { "pipewire-jack" } else { "libjack-jackd2-0" };
        let found = format!("{FILE} is not found");
        Finding::not_ok(NAME, State::Warn, found, means, format!("sudo apt install {package}"))
    }

    fn devices(&self) -> Finding {
        const NAME: &str = "sound cards";
        if !self.cards.is_empty() {
            return Finding::ok(NAME, self.cards.join(", "));
        }
        Finding::not_ok(
            NAME,
            State::Warn,
            "none",
            "There is nothing to hear it by; the dummy driver and renders work without.",
            "plug one in, or load its module; lspci and lsusb list what there is",
        )
    }
}

/// Where programs look for libraries.
fn libraries(machine: &Machine<'_>) -> Vec<String> {
    let set = (machine.env)("LD_LIBRARY_PATH").unwrap_or_default();
    let mut folders: Vec<String> =
        set.split(':').filter(|folder| folder.starts_with('/')).map(str::to_owned).collect();
    for folder in LIBRARIES {
        // Such as x86_64-linux-gnu.
        let inner = machine.names(folder).into_iter().filter(|name| name.contains("-linux-"));
        folders.extend(inner.map(|name| format!("{folder}/{name}")));
        folders.push(folder.to_owned());
    }
    let more = machine.names("/etc/ld.so.conf.d").into_iter().filter(|name| name.ends_with(".conf"));
    let files = more.map(|name| format!("/etc/ld.so.conf.d/{name}")).chain(["/etc/ld.so.conf".to_owned()]);
    for text in files.filter_map(|file| machine.read(&file)) {
        let lines = text.lines().map(str::trim).filter(|line| line.starts_with('/'));
        folders.extend(lines.map(|line| line.trim_end_matches('/').to_owned()));
    }
    folders
}

/// Whether ALSA has the plugin of this name, and something in its configuration that uses it.
fn has_plugin(machine: &Machine<'_>, name: &str) -> bool {
    let file = format!("alsa-lib/libasound_module_pcm_{name}.so");
    let module = libraries(machine).iter().any(|folder| machine.is_there(&format!("{folder}/{file}")));
    let named = |folder: &str| {
        machine.names(folder).iter().any(|file| file.contains(name) && file.ends_with(".conf"))
    };
    let own = (machine.env)("HOME").map(|home| format!("{home}/.asoundrc"));
    let mut files = own.into_iter().chain(["/etc/asound.conf".to_owned()]);
    module
        && (ALSA.iter().any(|folder| named(folder))
            || files.any(|file| machine.read(&file).is_some_and(|text| text.contains(name))))
}

#[cfg(test)]
#[path = "sound_tests.rs"]
mod tests;
