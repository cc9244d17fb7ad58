use clap::{CommandFactory, error::ErrorKind};

use super::*;
use crate::samples::snapshot;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("aulosctl").chain(line.split_whitespace()))
}

fn set(line: &str) -> (Set, Global) {
    let cli = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    match cli.verb {
        Verb::Set(set) => (set, cli.global),
        _ => panic!("{line} sets nothing"),
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

/// The reference of the command line: a change of it shows in review.
#[test]
fn help_of_every_command() {
    fn add(text: &mut String, command: &mut clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name()).trim_start().to_owned();
        text.push_str(&format!("======== {path}\n\n{}\n", command.render_long_help()));
        let subcommands = command.get_subcommands_mut().filter(|sub| sub.get_name() != "help");
        subcommands.for_each(|sub| add(text, sub, &path));
    }
    let mut text = String::new();
    // The width must not depend on the terminal that the test runs in.
    let mut command = Cli::command().term_width(100);
    command.build();
    add(&mut text, &mut command, "");
    snapshot("help", &text);
}

#[test]
fn a_leading_minus_is_a_value_and_no_option() {
    let (args, _) = set("set drums gain -3dB");
    assert_eq!((args.second.as_str(), args.third.as_deref()), ("gain", Some("-3dB")));
    for value in ["-3dB", "-inf", "-0.3", "3dB-", "+1.5dB", "-q3"] {
        let (args, _) = set(&format!("set drums/gain {value}"));
        assert_eq!((args.second.as_str(), args.third), (value, None));
        let (args, global) = set(&format!("set drums gain {value} --json"));
        assert_eq!(args.third.as_deref(), Some(value));
        assert!(global.json, "options are still options after {value}");
        let (args, global) = set(&format!("set drums/gain {value} -q"));
        assert_eq!(args.third, None);
        assert!(global.quiet);
    }
    assert!(set("--json set drums gain -3dB").1.json);
    for line in [
        "link a b --gain -6dB",
        "track add drums --gain -3dB --pan -0.2 --mute pre_ignores_mute=on",
        "send add room --level -inf",
        "track set drums pan -0.3",
        "node add tone frequency=440Hz",
        "node add tone beep level=-20dB --channels 1",
        "tempo -5",
        "raw -",
        "batch -",
    ] {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for line in [
        "",
        "nonsense",
        "link a",
        "locate yesterday",
        "locate -5",
        "render out.wav --depth 12",
        "render out.wav --rate 1",
        "node add piano",
        "meters --hz 0",
        "meters --for 0",
        "status --timeout -1",
        "status --timeout soon",
        "loop 1|1 never",
        "step",
        "clip rm drums seven",
    ] {
        let error = parse(line).err().unwrap_or_else(|| panic!("{line} is taken"));
        assert_eq!(error.exit_code(), 2, "{line}");
    }
    assert_eq!(parse("--help").unwrap_err().kind(), ErrorKind::DisplayHelp);
}

#[test]
fn times_and_rates_are_read() {
    assert_eq!(timeout("0").unwrap(), Timeout(None));
    assert_eq!(timeout("0.5").unwrap(), Timeout(Some(Duration::from_millis(500))));
    assert_eq!(timeout("0.000000001").unwrap(), Timeout(Some(Duration::from_micros(1))));
    assert!(timeout("99999999999999999999999999").is_err());
    for (text, hz) in [("48000", 48_000), ("44.1k", 44_100), ("96kHz", 96_000), ("44100Hz", 44_100)] {
        assert_eq!(rate(text).unwrap().hz(), hz, "{text}");
    }
    for wrong in ["", "k", "1", "48k48", "-48000", "99999999999"] {
        assert!(rate(wrong).is_err(), "{wrong}");
    }
}
