//! A server with the stepped driver, worked by the command line.

use std::path::{Path, PathBuf};

use aulos_tests::server::{Server, read_wav, text};
use serde_json::Value as Json;

/// A server and the words for it.
pub struct Desk {
    /// The server.
    pub server: Server,
}

impl Desk {
    /// A server with an empty session in memory.
    pub fn new() -> Self {
        Self { server: Server::stepped() }
    }

    /// Runs each line, separated by spaces, which must succeed.
    pub fn run(&self, lines: &str) {
        lines.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| drop(self.say(line)));
    }

    /// Runs words that must succeed, without anything on stderr; answers with what they print.
    #[track_caller]
    pub fn say(&self, words: &str) -> String {
        let output = self.server.ctl(words.split_whitespace());
        let told = text(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{words}: {} {told}", output.status);
        text(&output.stdout)
    }

    /// Runs words with `--json` and answers with the one document that they print.
    #[track_caller]
    pub fn json(&self, words: &str) -> Json {
        let out = self.say(&format!("--json {words}"));
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{words}: {error}: {out}"))
    }

    /// Runs words that must fail, with this exit code; answers with the error.
    #[track_caller]
    pub fn fails(&self, words: &str, code: i32) -> Json {
        let output = self.server.ctl(std::iter::once("--json").chain(words.split_whitespace()));
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}: {told}");
        let json: Json =
            serde_json::from_str(&told).unwrap_or_else(|error| panic!("{words}: {error}: {told}"));
        json["error"].clone()
    }

    /// The whole session.
    pub fn session(&self) -> Json {
        self.json("session show")
    }

    /// The whole session but for the number that the next thing gets, which never goes back.
    pub fn session_but_next_id(&self) -> Json {
        let mut session = self.session();
        session["next_id"].take();
        session
    }

    /// A path in the server's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.server.folder().join(name)
    }

    /// The value of a parameter.
    #[track_caller]
    pub fn get(&self, node: &str, param: &str) -> Json {
        self.json(&format!("get {node} {param}"))["params"][0]["value"].clone()
    }

    /// Renders to a file with these options, and answers with its samples by channel.
    #[track_caller]
    pub fn render(&self, name: &str, options: &str) -> Vec<Vec<f32>> {
        self.say(&format!("render {name} {options}"));
        read_wav(&self.path(name))
    }
}

/// Writes a WAV file of 48 kHz and 24 bits, from samples that are whole numbers of 24 bits.
pub fn write_wav(path: &Path, channels: &[Vec<i32>]) {
    let spec = hound::WavSpec {
        channels: channels.len() as u16,
        sample_rate: 48_000,
        bits_per_sample: 24,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for frame in 0..channels[0].len() {
        channels.iter().for_each(|channel| writer.write_sample(channel[frame]).unwrap());
    }
    writer.finalize().unwrap();
}

/// Samples of 24 bits that are never twice the same in a short time, of at most a quarter of full scale.
pub fn noise(frames: usize, seed: u32) -> Vec<i32> {
    let mut state = seed;
    let step = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*state >> 11) as i32 - (1 << 20)
    };
    (0..frames).map(|_| step(&mut state)).collect()
}

/// The samples as the engine has them.
pub fn floats(samples: &[i32]) -> Vec<f32> {
    samples.iter().map(|sample| *sample as f32 / (1 << 23) as f32).collect()
}
