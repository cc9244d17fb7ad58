use proptest::prelude::*;

use super::*;

fn none(_: &str) -> Option<String> {
    None
}

fn read_text(text: &str) -> Result<Entries, Error> {
    parse(Path::new("/etc/aulos/aulos.toml"), text, Some("/home/me"))
}

/// A folder that is gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("aulos-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn values_are_read_with_their_lines() {
    let text = "# mine\n[driver]\nblock = 0x80\nname = 'dummy'\n\n[server]\nplay = true\nsession = \"~/a\"\nsocket = \"s\"\n";
    let entries: BTreeMap<_, _> = read_text(text).unwrap().into_iter().collect();
    let said = |section, key| {
        let entry: &Entry = &entries[&(section, key)];
        (entry.value.as_str(), entry.line)
    };
    assert_eq!(said("driver", "block"), ("128", 3));
    assert_eq!(said("driver", "name"), ("dummy", 4));
    assert_eq!(said("server", "play"), ("true", 7));
    assert_eq!(said("server", "session"), ("/home/me/a", 8));
    assert_eq!(said("server", "socket"), ("/etc/aulos/s", 9));
    assert_eq!(entries.len(), 5);
}

#[test]
fn what_is_wrong_is_said_with_file_line_and_what_was_expected() {
    for (text, line, part, expected) in [
        ("[driver]\nblok = 2", 2, "no setting \"blok\"", "one of name, device"),
        ("[drivr]\n", 1, "no section \"drivr\"", "one of server, sessions, driver"),
        ("\n\nblock = 2", 3, "no section \"block\"", "one of server"),
        ("driver = 3", 1, "is a section", "[driver]"),
        (
            "[driver]\n\nblock = \"256\"",
            3,
            "block cannot be that",
            "a whole number, 0 or more, such as: block = 256",
        ),
        ("[driver]\nblock = -1", 2, "block cannot be that", "a whole number"),
        ("[driver]\nblock = 1.5", 2, "block cannot be that", "a whole number"),
        ("[driver]\nblock = 99999999999999999999999", 2, "block cannot be that", "a whole number"),
        ("[driver]\nblock = [1]", 2, "block cannot be that", "a whole number"),
        ("[server]\nplay = 'yes'", 2, "play cannot be that", "true or false"),
        ("[server]\nsession = ''", 2, "session cannot be that", "a path in quotes"),
        ("[server]\nlog = \"a\\u0000b\"", 2, "log cannot be that", "text in quotes"),
        ("[server]\nplay = true\nplay = false", 3, "", "TOML"),
        ("[server\nplay = true", 1, "", "TOML"),
        ("[server]\nplay = ", 2, "", "TOML"),
        ("[[server]]\nplay = true", 1, "is a section", "[server]"),
        ("[server.play]\na = 1", 1, "play cannot be that", "true or false"),
    ] {
        let error = read_text(text).unwrap_err();
        let place = format!("/etc/aulos/aulos.toml:{line}: ");
        assert!(
            error.message.starts_with(&place) && error.message.contains(part),
            "{text:?}: {}",
            error.message
        );
        assert!(
            error.expected.as_ref().is_some_and(|e| e.contains(expected)),
            "{text:?}: {:?}",
            error.expected
        );
        assert!(!error.message.contains('\n'), "{}", error.message);
    }
    let error = read_text("[driver]\nblok = 2").unwrap_err();
    assert_eq!(
        (error.remedy.as_deref(), error.close),
        (Some("did you mean \"block\"?"), vec!["block".to_owned()])
    );
}

#[test]
fn the_users_file_comes_before_the_systems_and_a_named_one_alone() {
    let folder = Folder::new("order");
    let user = folder.write("aulos/aulos.toml", b"[driver]\nblock = 64\n");
    let other = folder.write("other.toml", b"[driver]\nrate = 44100\n");
    let home = folder.0.to_str().unwrap().to_owned();
    let env = |name: &str| (name == "XDG_CONFIG_HOME").then(|| home.clone());
    assert_eq!(places(&env), [user.clone(), PathBuf::from("/etc/aulos/aulos.toml")]);
    let config = Config::load(None, env).unwrap();
    assert_eq!(config.get("driver.block").map(|entry| entry.value.as_str()), Some("64"));
    assert!(config.files().contains(&user));

    let config = Config::load(Some(&other), env).unwrap();
    assert_eq!((config.get("driver.block"), config.get("driver.rate").unwrap().line), (None, 2));
    let named = |name: &str| (name == VARIABLE).then(|| other.to_str().unwrap().to_owned());
    assert_eq!(Config::load(None, named).unwrap(), config);
    let empty = |name: &str| (name == VARIABLE).then(String::new);
    assert_eq!(Config::load(None, empty).unwrap(), Config::default());

    // What is named must be there.
    let gone = folder.0.join("gone.toml");
    assert_eq!(Config::load(Some(&gone), none).unwrap_err().code, ErrorCode::NotFound);
    for (what, part) in [(&folder.0, "is no file"), (&folder.write("x", b"\xff"), "is not UTF-8")] {
        let error = Config::load(Some(what), none).unwrap_err();
        assert!(error.message.contains(part), "{}", error.message);
    }
    let large = folder.write("large", &vec![b'#'; (MOST_BYTES + 1) as usize]);
    assert!(Config::load(Some(&large), none).unwrap_err().message.contains("too large"));
}

#[test]
fn what_is_shown_says_the_same_when_it_is_read() {
    let folder = Folder::new("shown");
    let text = "[server]\nsession = \"/a \\\"b\\\"\\n\"\n[driver]\nblock = 7\n[server.x]\n"
        .replace("[server.x]\n", "");
    let file = folder.write("a.toml", text.as_bytes());
    let config = Config::load(Some(&file), none).unwrap();
    let shown = config.text(none);
    let again = folder.write("b.toml", shown.as_bytes());
    let again = Config::load(Some(&again), none).unwrap();
    let values = |config: &Config| -> Vec<_> {
        config.entries.iter().map(|(name, entry)| (*name, entry.value.clone())).collect()
    };
    assert_eq!(values(&again), values(&config));
    assert!(shown.contains(&format!("# From {}:4.\nblock = 7\n", file.display())), "{shown}");
    assert!(shown.contains("# rate = 48000\n"), "{shown}");
    let shown = config.text(|name| (name == "AULOS_LOG").then(|| "debug".to_owned()));
    assert!(shown.contains("# From $AULOS_LOG.\nlog = \"debug\"\n"), "{shown}");
    // With nothing commented out it is a configuration, too.
    let all: String = Config::default()
        .text(none)
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(read_text(&all).unwrap().len(), SETTINGS.len(), "{all}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_a_line(text in "(\\[(server|driver|x)\\]|block|play|=|'|\"|[0-9]|\n| |\\PC){0,40}") {
        if let Err(error) = read_text(&text) {
            prop_assert!(error.message.starts_with("/etc/aulos/aulos.toml:"), "{}", error.message);
            prop_assert!(error.expected.is_some());
        }
    }
}
