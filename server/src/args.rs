//! The command line of `aulosd`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use aulos_protocol::{
    Error, ErrorCode, Rate,
    config::{self, Config, Form},
};
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, parser::ValueSource};

use crate::{control, drivers, osc};

/// The flags that a file can set, too.
const SWITCHES: [&str; 6] = ["no_connect", "play", "no_memory_lock", "osc_trust", "no_mdns", "no_dbus"];

/// Has such a flag take `=false`, too, so that it can take back what a file says.
fn switches(flag: Arg) -> Arg {
    if !SWITCHES.contains(&flag.get_id().as_str()) {
        return flag;
    }
    flag.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .value_name("true|false")
        .value_parser(clap::value_parser!(bool))
        .default_value("false")
        .default_missing_value("true")
        .hide_default_value(true)
        .hide_possible_values(true)
}

/// An audio server in which everything that makes, changes or carries sound is a patchable node. Controlled by
/// aulosctl.
///
/// Most options can be set in a configuration file, too: `aulosctl config show` prints them all. The command line
/// comes before the environment, then $XDG_CONFIG_HOME/aulos/aulos.toml, /etc/aulos/aulos.toml, and the defaults.
#[derive(Debug, Parser)]
#[command(name = "aulosd", version)]
#[command(mut_args(switches))]
pub struct Args {
    /// The configuration file to read instead of the usual ones [default: $AULOS_CONFIG, if it is set]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints what the session in this folder holds, as JSON, and ends; errors, too
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub inspect: Option<PathBuf>,
    /// Prints the manual's page, and ends
    #[arg(long, hide = true)]
    pub manual: bool,
    /// Prints what there is on D-Bus, which is docs/dbus.md, and ends
    #[arg(long, hide = true)]
    pub dbus_reference: bool,
    /// Ends when the process of this number ends, which is the one that starts the server
    #[arg(long, value_name = "PID", hide = true)]
    pub with_parent: Option<i32>,
    /// The folder of the session to open; without it, a new session in memory
    #[arg(long, value_name = "FOLDER")]
    session: Option<PathBuf>,
    /// The control socket [default: aulos/control.sock in $XDG_RUNTIME_DIR]
    #[arg(long, value_name = "PATH", env = "AULOS_SOCKET")]
    pub socket: Option<PathBuf>,
    /// What calls the engine
    #[arg(long, value_enum, default_value_t = drivers::Kind::Auto)]
    driver: drivers::Kind,
    /// Frames in a cycle; of the stepped driver, the most
    #[arg(long, value_name = "FRAMES", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    block: u32,
    /// The rate of a new session, in Hz
    #[arg(long, value_name = "HZ", default_value_t = 48_000)]
    rate: u32,
    /// The ALSA device, as aulosctl driver ls names it [default: that of the desktop or of the asoundrc]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// In which form the ALSA device gets samples [default: the best one that it has]
    #[arg(long, value_enum, value_name = "FORMAT")]
    sample_format: Option<drivers::SampleForm>,
    /// The name of the JACK client
    #[arg(long, value_name = "NAME", default_value = "aulos")]
    jack_name: String,
    /// How long a device may go without calling the engine until it counts as lost and the dummy clock stands in, in ms
    #[arg(
        long,
        value_name = "MS",
        env = "AULOS_DEVICE_PATIENCE",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(100..=600_000)
    )]
    device_patience: u64,
    /// Leaves the JACK ports of outputs unconnected; --no-connect=false connects them, whatever the configuration says
    #[arg(long)]
    no_connect: bool,
    /// Channels that the driver plays; a device has as many as the session's outputs use, ALSA at least these
    #[arg(long, value_name = "CHANNELS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=64))]
    playback: u16,
    /// Channels that the driver records, as above; without a device they are silent, and 0 records nothing
    #[arg(long, value_name = "CHANNELS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=64))]
    record: u16,
    /// Starts with the transport rolling, as soon as the audio files are read ahead; --play=false does not, whatever
    /// the configuration says
    #[arg(long)]
    play: bool,
    /// Leaves memory unlocked, so that the kernel may take it away; else all is locked, where there is no limit.
    /// --no-memory-lock=false locks it, whatever the configuration says
    #[arg(long)]
    no_memory_lock: bool,
    /// Where OSC is listened to, by UDP and TCP: ADDRESS:PORT, or off. The port 0 is any that is free; status tells it
    #[arg(long, value_name = "ADDRESS:PORT", env = "AULOS_OSC", default_value = "127.0.0.1:9000")]
    osc: osc::Place,
    /// The port of OSCQuery, at the address of OSC: a port, 0 for any that is free, next for the one behind that of
    /// OSC, or off
    #[arg(long, value_name = "PORT", env = "AULOS_OSC_QUERY", default_value = "next")]
    osc_query: osc::QueryPort,
    /// The networks and addresses, beside this machine, that OSC is taken from, such as 192.168.1.0/24,10.0.0.7
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',', value_parser = osc::network)]
    osc_allow: Vec<ipnet::IpNet>,
    /// Does not announce OSC and OSCQuery by multicast DNS; --no-mdns=false does, whatever the configuration says
    #[arg(long)]
    no_mdns: bool,
    /// Lets other machines name files, open sessions, set the driver and end the server by OSC, too
    #[arg(long)]
    osc_trust: bool,
    /// Leaves D-Bus alone, even if there is a session bus; --no-dbus=false serves it, whatever the configuration says
    #[arg(long)]
    pub no_dbus: bool,
    /// The name on the session bus
    #[arg(long, value_name = "NAME", default_value = "org.aulos.Server", value_parser = crate::dbus::checked_name)]
    pub dbus_name: String,
    /// Writes what the driver plays to a file: .flac (24 bit) or .wav (32-bit float)
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Ends after so many frames
    #[arg(long, value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// What is logged to stderr: error, warn, info, debug, or a filter of tracing-subscriber, such as
    /// info,symphonia=warn for what the decoders of audio files say, too
    #[arg(long, value_name = "FILTER", env = "AULOS_LOG", default_value = "info", value_parser = crate::log::checked)]
    pub log: String,
}

impl Args {
    /// Reads the command line of this process, the environment and the configuration files. Help and what is wrong
    /// with the command line end the process, as usual.
    ///
    /// # Errors
    /// What is wrong with the configuration, with file and line.
    pub fn read() -> Result<Self, Error> {
        let words: Vec<_> = std::env::args_os().collect();
        let matches = Self::command().get_matches_from(&words);
        let env = |name: &str| std::env::var(name).ok();
        let given = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if given.inspect.is_some() || given.manual || given.dbus_reference {
            return Ok(given);
        }
        let config = Config::load(given.config.as_deref(), env)?;
        let is_said = |option: &str| {
            let source = matches.value_source(&option.replace('-', "_"));
            matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        let configured = Self::configured(&config, is_said)?;
        let mut words = words.into_iter();
        let program = words.next().into_iter();
        let all: Vec<_> = program.chain(configured.into_iter().map(Into::into)).chain(words).collect();
        Ok(Self::try_parse_from(all).unwrap_or_else(|error| error.exit()))
    }

    /// The options that the configuration sets and nobody else has said.
    fn configured(config: &Config, is_said: impl Fn(&str) -> bool) -> Result<Vec<String>, Error> {
        let mut words = Vec::new();
        for setting in config::SETTINGS {
            let Some(option) = setting.option.filter(|option| !is_said(option)) else { continue };
            let Some(entry) = config.get(&format!("{}.{}", setting.section, setting.key)) else { continue };
            let word = match (setting.form, entry.value.as_str()) {
                (Form::Switch, "true") => format!("--{option}"),
                (Form::Switch, _) => continue,
                (_, value) => format!("--{option}={value}"),
            };
            Self::try_parse_from(["aulosd", &word]).map_err(|error| {
                let text = error.render().to_string();
                // "error: invalid value '0' for '--block <FRAMES>': 0 is not in 1..=65536", then how to get help.
                let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                let first = lines.next().unwrap_or_default();
                let why =
                    first.split_once(">': ").map_or(first.trim_start_matches("error: "), |(_, why)| why);
                let place = format!("{}:{}", entry.file.display(), entry.line);
                let choices = lines.find(|line| line.starts_with("[possible values"));
                let expected = choices.map_or(setting.text, |line| line);
                Error::new(ErrorCode::InvalidArgument, format!("{place}: {}: {why}", setting.key))
                    .expected(format!("{expected} Such as: {} = {}", setting.key, setting.default))
            })?;
            words.push(word);
        }
        Ok(words)
    }

    /// How OSC is set up.
    pub fn osc(&self) -> osc::Setup {
        osc::Setup {
            place: self.osc,
            query: self.osc_query,
            allow: self.osc_allow.clone(),
            trust: self.osc_trust,
            announced: !self.no_mdns,
        }
    }

    /// How the control thread is set up.
    ///
    /// # Errors
    /// `OutOfRange` for a rate that no session can have.
    pub fn setup(&self, osc: Arc<osc::Board>) -> Result<control::Setup, Error> {
        let rate = Rate::new(self.rate).ok_or_else(|| {
            let range = aulos_protocol::Range {
                min: f64::from(Rate::MIN),
                max: f64::from(Rate::MAX),
                unit: "Hz".into(),
            };
            Error::out_of_range("the rate", f64::from(self.rate), range)
        })?;
        if self.driver == drivers::Kind::Offline && self.frames.is_none() {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                "the offline driver would run for ever, as fast as it can",
            )
            .expected("a number of frames: --frames FRAMES"));
        }
        Ok(control::Setup {
            session: self.session.clone(),
            rate,
            driver: drivers::Setup {
                kind: self.driver,
                block: self.block,
                playback: usize::from(self.playback),
                capture: usize::from(self.record),
                file: self.capture.clone(),
                frames: self.frames,
                device: self.device.clone(),
                format: self.sample_format,
                jack_name: self.jack_name.clone(),
                patience: Duration::from_millis(self.device_patience),
                connect: !self.no_connect,
                impose_block: false,
            },
            play: self.play,
            lock_memory: !self.no_memory_lock,
            osc,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn config(text: &str) -> (tempfile::NamedTempFile, Config) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        let config = Config::load(Some(file.path()), |_| None).unwrap();
        (file, config)
    }

    /// A new option belongs into the configuration, or into this list.
    #[test]
    fn every_option_is_a_setting_or_of_one_run_only() {
        let once = [
            "config",
            "inspect",
            "manual",
            "dbus-reference",
            "with-parent",
            "capture",
            "frames",
            "help",
            "version",
        ];
        let settings = config::SETTINGS.iter().filter_map(|setting| setting.option);
        let known: BTreeSet<_> = once.into_iter().chain(settings).map(str::to_owned).collect();
        let mut command = Args::command();
        command.build();
        let options = command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned));
        assert_eq!(options.collect::<BTreeSet<_>>(), known);
    }

    #[test]
    fn defaults_are_those_that_the_configuration_shows() {
        let command = Args::command();
        for setting in config::SETTINGS {
            let Some(option) = setting.option else { continue };
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(option)).unwrap();
            let default = arg.get_default_values().first().map(|value| value.to_str().unwrap());
            if let Some(default) = default {
                assert_eq!(setting.default.trim_matches('"'), default, "{option}");
            }
        }
    }

    /// What a file switches on is switched off for one run.
    #[test]
    fn every_switch_takes_true_and_false() {
        for setting in config::SETTINGS.iter().filter(|setting| setting.form == Form::Switch) {
            let Some(option) = setting.option else { continue };
            let name = option.replace('-', "_");
            for (word, value) in [("", true), ("=true", true), ("=false", false)] {
                let words = ["aulosd".to_owned(), format!("--{option}{word}")];
                let matches = Args::command().try_get_matches_from(words).unwrap();
                assert_eq!(matches.get_one::<bool>(&name), Some(&value), "--{option}{word}");
            }
        }
    }

    #[test]
    fn what_is_said_comes_before_what_is_configured() {
        let (_file, config) = config("[driver]\nblock = 64\nrate = 44100\n[server]\nplay = true\n");
        let words = |said: &[&str]| Args::configured(&config, |option| said.contains(&option)).unwrap();
        assert_eq!(words(&[]), ["--play", "--block=64", "--rate=44100"]);
        assert_eq!(words(&["block", "play"]), ["--rate=44100"]);
    }

    #[test]
    fn a_value_that_no_driver_takes_is_refused_with_its_line() {
        for (text, line, part, expected) in [
            ("[driver]\nblock = 0", 2, "block: 0 is not in 1..=65536", "block = 256"),
            ("[driver]\n\nname = 'jck'", 3, "name: ", "possible values: "),
            ("[driver]\nplayback = 65", 2, "playback: 65 is not in", "playback = 2"),
        ] {
            let (file, config) = config(text);
            let error = Args::configured(&config, |_| false).unwrap_err();
            let place = format!("{}:{line}: ", file.path().display());
            assert!(error.message.starts_with(&place) && error.message.contains(part), "{}", error.message);
            assert!(error.expected.as_ref().unwrap().contains(expected), "{:?}", error.expected);
        }
    }
}
