//! Files of packages, and what other programs make of them.

use std::{
    path::{Path, PathBuf},
    process::Command as Process,
};

use aulos_tests::server::text;

/// A package, where its files are, and how many there are at least.
pub type Package = (&'static str, &'static str, usize);

/// Packages of files that keep every bit.
pub const PACKAGES: [Package; 5] = [
    ("alsa-utils", "/usr/share/sounds/alsa", 9),
    ("hydrogen-data", "/usr/share/hydrogen/data", 100),
    ("sonic-pi-samples", "/usr/share/sonic-pi/samples", 160),
    ("jconvolver-config-files", "/usr/share/jconvolver/config-files", 26),
    ("puredata-doc", "/usr/share/puredata/doc/sound", 1),
];

/// The audio files of a package that keep every bit.
pub fn files_of(package: Package) -> Vec<PathBuf> {
    files_with(&["wav", "flac", "aiff"], package)
}

/// The files of a package whose names end so.
pub fn files_with(endings: &[&str], (package, folder, least): Package) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| {
            panic!("{}: {error}; the package {package} is missing: run make deps", folder.display())
        });
        for entry in entries {
            let path = entry.unwrap().path();
            let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
            match ending.as_deref() {
                _ if path.is_dir() => folders.push(path),
                Some(ending) if endings.contains(&ending) => files.push(path),
                _ => {}
            }
        }
    }
    assert!(files.len() >= least, "{package} has only {} audio files: run make deps", files.len());
    files.sort();
    files
}

/// What a program prints; it must succeed.
pub fn run(program: &str, args: impl Fn(&mut Process)) -> Vec<u8> {
    let mut process = Process::new(program);
    args(&mut process);
    let output =
        process.output().unwrap_or_else(|error| panic!("{program}: {error}; it is installed by make deps"));
    assert!(output.status.success(), "{process:?}: {}", text(&output.stderr));
    output.stdout
}

/// What `soxi` says of each file.
pub fn soxi(option: &str, files: &[PathBuf]) -> Vec<String> {
    let told = text(&run("soxi", |soxi| {
        soxi.args(["-V1", option]).args(files);
    }));
    let lines: Vec<String> = told.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), files.len());
    lines
}

/// An audio file as others understand it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The file.
    pub path: PathBuf,
    /// What `soxi` calls its format.
    pub kind: String,
    /// In Hz.
    pub rate: u32,
    /// Bits of a sample; 0 for formats that have none.
    pub bits: u32,
    /// By channel.
    pub channels: Vec<Vec<f32>>,
    /// How much a sample may be off.
    pub tolerance: f32,
}

impl Sample {
    /// Its length.
    pub fn frames(&self) -> usize {
        self.channels[0].len()
    }
}

/// What a program prints as interleaved samples of 32 bits, by channel.
pub fn planes(raw: &[u8], channels: usize, sample: impl Fn([u8; 4]) -> f32) -> Vec<Vec<f32>> {
    let (words, rest) = raw.as_chunks::<4>();
    assert!(rest.is_empty() && words.len() >= channels, "{} bytes of samples", raw.len());
    (0..channels)
        .map(|c| words.iter().skip(c).step_by(channels).map(|word| sample(*word)).collect())
        .collect()
}

/// A file of integers as `sox` decodes it: each sample is the integer divided by its range.
pub fn by_sox(path: &Path, channels: usize) -> Vec<Vec<f32>> {
    let raw = run("sox", |sox| {
        sox.args(["-V1", "-D"]).arg(path).args(["-t", "raw", "-e", "signed", "-b", "32", "-L", "-"]);
    });
    planes(&raw, channels, |word| {
        // Those of fewer bits fill the high ones.
        let integer = i32::from_le_bytes(word);
        assert_eq!(integer % 256, 0, "{} is not of up to 24 bits", path.display());
        integer as f32 / 2f32.powi(31)
    })
}

/// A file as `ffmpeg` decodes it, which does not round floats as sox does.
pub fn by_ffmpeg(path: &Path, channels: usize) -> Vec<Vec<f32>> {
    let raw = run("ffmpeg", |ffmpeg| {
        ffmpeg.args(["-v", "error", "-i"]).arg(path).args(["-map", "0:a:0", "-f", "f32le", "-"]);
    });
    planes(&raw, channels, f32::from_le_bytes)
}

/// Has `sox` decode the files of integers, and `ffmpeg` those of floats.
pub fn decode(files: Vec<PathBuf>) -> Vec<Sample> {
    let number = |text: &String| text.parse::<f64>().unwrap() as u32;
    let (kinds, rates) = (soxi("-t", &files), soxi("-r", &files));
    let (channels, bits, codings) = (soxi("-c", &files), soxi("-b", &files), soxi("-e", &files));
    let whole = files.into_iter().enumerate().map(|(n, path)| {
        let count = number(&channels[n]) as usize;
        let decoded = if codings[n].contains("Float") { by_ffmpeg } else { by_sox };
        let channels = decoded(&path, count);
        let (rate, bits) = (number(&rates[n]), number(&bits[n]));
        Sample { kind: kinds[n].clone(), rate, bits, channels, path, tolerance: 0.0 }
    });
    whole.collect()
}
