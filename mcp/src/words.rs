//! What the server advises, in the words of the tools: an agent has no command line.

use std::borrow::Cow;

use aulos_protocol::Error;

/// What the server says, and what that is here; what is longer comes before what it begins with.
const WORDS: &[(&str, &str)] = &[
    ("aulosctl driver ls", "driver with action \"list\""),
    ("aulosctl driver set alsa --device NAME", "driver with action \"set\", driver \"alsa\" and the device"),
    ("aulosctl link drums master", "connect with from \"drums\" and to \"master\""),
    ("aulosctl ls links", "query with what \"links\""),
    ("aulosctl node add output", "apply with node_add of kind \"output\""),
    ("aulosctl operation cancel", "cancel_operation with operation"),
    ("aulosctl render OUT --to 10s", "render with end \"10s\""),
    ("aulosctl session new PATH", "session with action \"new\" and a path"),
    ("aulosctl session open PATH", "session with action \"open\" and the path"),
    ("aulosctl session save PATH", "session with action \"save\" and a path"),
    ("aulosctl session save", "session with action \"save\""),
    ("aulosctl session set --max-latency TIME", "apply with session_set and max_latency_ms"),
    ("aulosctl shutdown --discard", "shutdown with discard true"),
    ("aulosctl shutdown", "shutdown"),
    ("aulosctl status", "diagnose"),
    ("or let them go with --discard", "or let them go with discard true"),
    ("the query \"schema\" tells", "describe tells"),
];

/// A text of the server in the words of the tools.
pub fn of_tools(text: &str) -> String {
    let mut text = Cow::Borrowed(text);
    for (theirs, ours) in WORDS {
        if text.contains(theirs) {
            text = text.replace(theirs, ours).into();
        }
    }
    text.into_owned()
}

/// An error of the server in the words of the tools; it says no less.
pub fn of_error(mut error: Error) -> Error {
    error.message = of_tools(&error.message);
    for text in [&mut error.expected, &mut error.remedy].into_iter().flatten() {
        *text = of_tools(text);
    }
    error
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use aulos_protocol::ErrorCode;

    use super::*;

    #[test]
    fn an_error_says_what_it_said_in_other_words() {
        let error = Error::new(ErrorCode::Unavailable, "changes are not saved")
            .remedy("save it first with: aulosctl session save, or let them go with --discard");
        let said = of_error(error).remedy.unwrap();
        assert_eq!(
            said,
            "save it first with: session with action \"save\", or let them go with discard true"
        );
    }

    fn look(folder: &Path, left: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // The settings and the start of the server are no answers to an agent.
            let is_answer = |name: &str| !["config.rs", "socket.rs", "tests"].contains(&name);
            if !is_answer(path.file_name().unwrap().to_str().unwrap()) {
                continue;
            }
            if path.is_dir() {
                look(&path, left);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                let lines = text.lines().filter(|line| line.contains("aulosctl ") && line.contains('"'));
                let is_comment = |line: &&str| line.trim_start().starts_with("//");
                let ours = lines.filter(|line| !is_comment(line)).map(of_tools);
                left.extend(ours.filter(|line| line.contains("aulosctl ")));
            }
        }
    }

    /// Read from the sources, as errors come from many places.
    #[test]
    fn every_piece_of_advice_of_the_server_has_words_here() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut left = Vec::new();
        for part in ["protocol", "nodes", "engine", "server"] {
            look(&root.join(part).join("src"), &mut left);
        }
        assert!(left.is_empty(), "these name the command line: {left:#?}");
    }
}
