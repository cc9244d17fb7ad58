//! The configuration file, which `aulosd` and `aulosctl` share.
//!
//! It is TOML. Its settings stand in one table, [`SETTINGS`], from which come what is read, what is refused, and the
//! text of `aulosctl config show`. The user's file comes before the system's, setting by setting; the command line
//! and the environment come before both, which is up to the programs.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use crate::{Error, ErrorCode, close_names};

/// The largest file that is read, in bytes.
const MOST_BYTES: u64 = 1 << 20;
/// The environment variable that names the one file to be read; none is read if it is empty.
pub const VARIABLE: &str = "AULOS_CONFIG";

/// The form of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text.
    Text,
    /// A path; `~/` is the home folder, and what is relative begins at the folder of the file.
    Path,
    /// Several texts; on a command line with commas between them.
    Texts,
    /// A whole number, 0 or more.
    Count,
    /// `true` or `false`.
    Switch,
}

impl Form {
    fn expected(self) -> &'static str {
        match self {
            Self::Text => "text in quotes",
            Self::Path => "a path in quotes",
            Self::Texts => "a list of texts in quotes",
            Self::Count => "a whole number, 0 or more",
            Self::Switch => "true or false",
        }
    }
}

/// Something that can be set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The table that it stands in.
    pub section: &'static str,
    /// Its name.
    pub key: &'static str,
    /// Its form.
    pub form: Form,
    /// The option of `aulosd` that sets it, too; none if it is for `aulosctl` only.
    pub option: Option<&'static str>,
    /// The environment variable that comes before it.
    pub variable: Option<&'static str>,
    /// What holds if nobody says anything, as TOML; or an example, where nothing is set then.
    pub default: &'static str,
    /// What it does.
    pub text: &'static str,
}

/// Every setting, in the order of their sections.
pub const SETTINGS: &[Setting] = &[
    Setting {
        section: "server",
        key: "session",
        form: Form::Path,
        option: Some("session"),
        variable: None,
        default: "\"~/aulos/stage\"",
        text: "The session to open at the start; a new one in memory unless set.",
    },
    Setting {
        section: "server",
        key: "play",
        form: Form::Switch,
        option: Some("play"),
        variable: None,
        default: "false",
        text: "Whether the transport rolls from the start.",
    },
    Setting {
        section: "server",
        key: "no_memory_lock",
        form: Form::Switch,
        option: Some("no-memory-lock"),
        variable: None,
        default: "false",
        text: "Whether memory is left unlocked, which saves some of it; it is locked where there is no limit.",
    },
    Setting {
        section: "server",
        key: "socket",
        form: Form::Path,
        option: Some("socket"),
        variable: Some("AULOS_SOCKET"),
        default: "\"/run/user/1000/aulos/control.sock\"",
        text: "The control socket; aulos/control.sock in $XDG_RUNTIME_DIR unless set.",
    },
    Setting {
        section: "server",
        key: "log",
        form: Form::Text,
        option: Some("log"),
        variable: Some("AULOS_LOG"),
        default: "\"info\"",
        text: "What is logged: error, warn, info, debug, or a filter such as \"info,aulos_server=debug\".",
    },
    Setting {
        section: "sessions",
        key: "folder",
        form: Form::Path,
        option: None,
        variable: None,
        default: "\"~/aulos\"",
        text: "Where aulosctl session ls looks for sessions; the current folder unless set.",
    },
    Setting {
        section: "driver",
        key: "name",
        form: Form::Text,
        option: Some("driver"),
        variable: None,
        default: "\"auto\"",
        text: "What calls the engine: auto, jack, alsa, dummy, stepped or offline.",
    },
    Setting {
        section: "driver",
        key: "device",
        form: Form::Text,
        option: Some("device"),
        variable: None,
        default: "\"hw:0\"",
        text: "The ALSA device, as aulosctl driver ls names it; that of the desktop unless set.",
    },
    Setting {
        section: "driver",
        key: "sample_format",
        form: Form::Text,
        option: Some("sample-format"),
        variable: None,
        default: "\"s32\"",
        text: "In which form the ALSA device gets samples; the best that it has unless set.",
    },
    Setting {
        section: "driver",
        key: "jack_name",
        form: Form::Text,
        option: Some("jack-name"),
        variable: None,
        default: "\"aulos\"",
        text: "The name of the JACK client.",
    },
    Setting {
        section: "driver",
        key: "device_patience",
        form: Form::Count,
        option: Some("device-patience"),
        variable: Some("AULOS_DEVICE_PATIENCE"),
        default: "1000",
        text: "How long a device may go without calling the engine until it counts as lost, in ms.",
    },
    Setting {
        section: "driver",
        key: "no_connect",
        form: Form::Switch,
        option: Some("no-connect"),
        variable: None,
        default: "false",
        text: "Whether the JACK ports of outputs are left unconnected.",
    },
    Setting {
        section: "driver",
        key: "block",
        form: Form::Count,
        option: Some("block"),
        variable: None,
        default: "256",
        text: "Frames in a cycle.",
    },
    Setting {
        section: "driver",
        key: "rate",
        form: Form::Count,
        option: Some("rate"),
        variable: None,
        default: "48000",
        text: "The rate of a new session in Hz; one that is opened has its own.",
    },
    Setting {
        section: "driver",
        key: "playback",
        form: Form::Count,
        option: Some("playback"),
        variable: None,
        default: "2",
        text: "Channels that the driver plays.",
    },
    Setting {
        section: "driver",
        key: "record",
        form: Form::Count,
        option: Some("record"),
        variable: None,
        default: "2",
        text: "Channels that the driver records.",
    },
    Setting {
        section: "osc",
        key: "listen",
        form: Form::Text,
        option: Some("osc"),
        variable: Some("AULOS_OSC"),
        default: "\"127.0.0.1:9000\"",
        text: "Where OSC is listened to, by UDP and TCP; \"off\" for nowhere, \"0.0.0.0:9000\" for all of the network.",
    },
    Setting {
        section: "osc",
        key: "query",
        form: Form::Text,
        option: Some("osc-query"),
        variable: Some("AULOS_OSC_QUERY"),
        default: "\"next\"",
        text: "The port of OSCQuery, at the address of OSC; \"next\" for the one behind that of OSC, \"off\" for none.",
    },
    Setting {
        section: "osc",
        key: "allow",
        form: Form::Texts,
        option: Some("osc-allow"),
        variable: None,
        default: "[\"192.168.1.0/24\"]",
        text: "The networks and addresses, beside this machine, that are listened to; none unless set.",
    },
    Setting {
        section: "osc",
        key: "no_mdns",
        form: Form::Switch,
        option: Some("no-mdns"),
        variable: None,
        default: "false",
        text: "Whether OSC and OSCQuery are not announced by multicast DNS, on this machine or where they are listened to.",
    },
    Setting {
        section: "osc",
        key: "trust",
        form: Form::Switch,
        option: Some("osc-trust"),
        variable: None,
        default: "false",
        text: "Whether other machines may name files, open sessions, set the driver and end the server.",
    },
    Setting {
        section: "dbus",
        key: "no_dbus",
        form: Form::Switch,
        option: Some("no-dbus"),
        variable: None,
        default: "false",
        text: "Whether D-Bus is left alone, even if there is a session bus.",
    },
    Setting {
        section: "dbus",
        key: "name",
        form: Form::Text,
        option: Some("dbus-name"),
        variable: None,
        default: "\"org.aulos.Server\"",
        text: "The name on the session bus.",
    },
];

/// The setting `SECTION.KEY`.
pub fn setting(name: &str) -> Option<&'static Setting> {
    let (section, key) = name.split_once('.')?;
    SETTINGS.iter().find(|setting| setting.section == section && setting.key == key)
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value as a command line would say it; paths are whole.
    pub value: String,
    /// The file.
    pub file: PathBuf,
    /// The line in it, counted from 1.
    pub line: usize,
}

/// What the files say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    entries: BTreeMap<(&'static str, &'static str), Entry>,
    files: Vec<PathBuf>,
}

/// The files that are read, the one that comes first at the front: that of `AULOS_CONFIG` alone if it is set, else the
/// user's and the system's.
pub fn places(env: &impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    if let Some(path) = env(VARIABLE) {
        return if path.is_empty() { Vec::new() } else { vec![path.into()] };
    }
    let set = |name| env(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || set("HOME").map(|home| home.join(".config"));
    let user = set("XDG_CONFIG_HOME").or_else(home).map(|folder| folder.join("aulos/aulos.toml"));
    user.into_iter().chain([PathBuf::from("/etc/aulos/aulos.toml")]).collect()
}

impl Config {
    /// Reads the files that there are. One that is named by `file` or by `AULOS_CONFIG` must be there.
    ///
    /// # Errors
    /// `InvalidArgument` with the file, the line and what was expected; `Io` or `NotFound` for a file that cannot be
    /// read.
    pub fn load(file: Option<&Path>, env: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let (places, named) = match file {
            Some(file) => (vec![file.to_owned()], true),
            None => (places(&env), env(VARIABLE).is_some()),
        };
        let mut config = Self::default();
        for place in places {
            let text = match read(&place) {
                Ok(text) => text,
                Err(error) if error.code == ErrorCode::NotFound && !named => continue,
                Err(error) => return Err(error),
            };
            for (name, entry) in parse(&place, &text, env("HOME").as_deref())? {
                config.entries.entry(name).or_insert(entry);
            }
            config.files.push(place);
        }
        Ok(config)
    }

    /// What is set for `SECTION.KEY`.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        let setting = setting(name)?;
        self.entries.get(&(setting.section, setting.key))
    }

    /// The files that were read.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The whole configuration as a file that says the same: what is set with where it comes from, and the rest as
    /// comments.
    pub fn text(&self, env: impl Fn(&str) -> Option<String>) -> String {
        let mut text = String::from(
            "# The configuration of Aulos as it holds now. Lines that begin with # say what holds by default, or\n\
             # give an example. The command line comes before the environment, then the user's file, the system's\n\
             # file (/etc/aulos/aulos.toml), and the defaults.\n",
        );
        let mut section = "";
        for setting in SETTINGS {
            let Setting { key, default, .. } = setting;
            if setting.section != section {
                section = setting.section;
                // Writing to a String cannot fail.
                let _ = write!(text, "\n[{section}]\n");
            }
            let _ = writeln!(text, "# {}", setting.text);
            let from_env =
                setting.variable.and_then(|name| Some((name, env(name).filter(|v| !v.is_empty())?)));
            let _ = match (from_env, self.entries.get(&(setting.section, setting.key))) {
                (Some((name, value)), _) => {
                    writeln!(text, "# From ${name}.\n{key} = {}", written(setting.form, &value))
                }
                (None, Some(Entry { value, file, line })) => {
                    let file = file.display().to_string().escape_debug().to_string();
                    writeln!(text, "# From {file}:{line}.\n{key} = {}", written(setting.form, value))
                }
                (None, None) => writeln!(text, "# {key} = {default}"),
            };
        }
        text
    }
}

/// A value as TOML.
fn written(form: Form, value: &str) -> String {
    match form {
        Form::Text | Form::Path => toml::Value::String(value.to_owned()).to_string(),
        Form::Texts => {
            let texts = value.split(',').map(|text| toml::Value::String(text.to_owned()));
            toml::Value::Array(texts.collect()).to_string()
        }
        Form::Count | Form::Switch => value.to_owned(),
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let doing = || format!("read the configuration {}", path.display());
    let wrong = |what: &str| {
        Error::new(ErrorCode::InvalidArgument, format!("{} {what}", path.display()))
            .expected("a configuration: a file of TOML in UTF-8, of at most 1 MiB")
    };
    // Opening a FIFO would wait for somebody who writes to it.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(wrong("is no file"));
    }
    let file = File::options().read(true).open(path).map_err(|error| {
        let mut told = Error::io(&doing(), &error);
        if error.kind() == std::io::ErrorKind::NotFound {
            told.code = ErrorCode::NotFound;
        }
        told
    })?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| Error::io(&doing(), &error))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(wrong("is too large"));
    }
    String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))
}

type Entries = Vec<((&'static str, &'static str), Entry)>;

/// Reads the text of a file.
///
/// # Errors
/// `InvalidArgument` with the line.
fn parse(file: &Path, text: &str, home: Option<&str>) -> Result<Entries, Error> {
    let line_of = |at: usize| 1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
    let wrong = |at: usize, what: &str| {
        Error::new(ErrorCode::InvalidArgument, format!("{}:{}: {what}", file.display(), line_of(at)))
    };
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        wrong(at, error.message().lines().next().unwrap_or("it is no TOML"))
            .expected("TOML, such as: block = 256")
    })?;
    let unknown = |at: usize, what: String, known: Vec<&str>, name: &str| {
        let close = close_names(name, known.iter().copied());
        let mut error = wrong(at, &what).expected(format!("one of {}", known.join(", ")));
        if let [close, ..] = close.as_slice() {
            error = error.remedy(format!("did you mean \"{close}\"?"));
        }
        error.close = close;
        error
    };
    let mut sections: Vec<&str> = SETTINGS.iter().map(|setting| setting.section).collect();
    sections.dedup();
    let mut entries = Vec::new();
    for (section, table) in root.get_ref() {
        let (name, at) = (&**section.get_ref(), section.span().start);
        if !sections.contains(&name) {
            return Err(unknown(at, format!("there is no section \"{name}\""), sections, name));
        }
        let DeValue::Table(table) = table.get_ref() else {
            return Err(wrong(at, &format!("\"{name}\" is a section"))
                .expected(format!("[{name}] on a line of its own")));
        };
        for (key, value) in table {
            let (key, at) = (&**key.get_ref(), key.span().start);
            let Some(setting) = setting(&format!("{name}.{key}")) else {
                let known = SETTINGS.iter().filter(|setting| setting.section == name);
                let known = known.map(|setting| setting.key).collect();
                return Err(unknown(at, format!("[{name}] has no setting \"{key}\""), known, key));
            };
            let value = match (setting.form, value.get_ref()) {
                (Form::Text, DeValue::String(text)) => Some(text.to_string()),
                (Form::Texts, DeValue::Array(texts)) => texts_of(texts),
                (Form::Path, DeValue::String(path)) => whole(path, file, home),
                (Form::Count, DeValue::Integer(number)) => {
                    u64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
                }
                (Form::Switch, DeValue::Boolean(on)) => Some(on.to_string()),
                _ => None,
            };
            let value =
                value.filter(|value| !value.is_empty() && !value.contains('\0')).ok_or_else(|| {
                    wrong(at, &format!("{key} cannot be that")).expected(format!(
                        "{}, such as: {key} = {}",
                        setting.form.expected(),
                        setting.default
                    ))
                })?;
            let entry = Entry { value, file: file.to_owned(), line: line_of(at) };
            entries.push(((setting.section, setting.key), entry));
        }
    }
    Ok(entries)
}

/// The texts of a list, with commas between them; none if one is no text, or has a comma itself.
fn texts_of(list: &toml::de::DeArray<'_>) -> Option<String> {
    let text = |value: &toml::Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) if !text.is_empty() && !text.contains(',') => Some(text.to_string()),
        _ => None,
    };
    list.iter().map(text).collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
}

/// The whole path of one that a file names.
fn whole(path: &str, file: &Path, home: Option<&str>) -> Option<String> {
    if path.is_empty() {
        return None;
    }
    let path = match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        (Some(_), None) => return None,
        (None, _) => file.parent().unwrap_or(Path::new("")).join(path),
    };
    path.to_str().map(str::to_owned)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
