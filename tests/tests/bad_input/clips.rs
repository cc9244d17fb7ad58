//! Audio files that cannot be played, and places where they cannot lie.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command as Process,
};

use aulos_protocol::{
    Error,
    ErrorCode::{self, InvalidArgument, NotFound, OutOfRange},
    Reply,
};
use aulos_tests::server::{Server, read_wav};
use serde_json::json;

use crate::bench::{
    Bench, Raw,
    Says::{self, Close, Expected, Range, Remedy},
    check,
};

/// A file of a package, 48 kHz, mono, 16 bit.
pub const NOISE: &str = "/usr/share/sounds/alsa/Noise.wav";

fn run(program: &str, args: &[&str]) {
    let done = Process::new(program).args(args).output();
    let done = done.unwrap_or_else(|error| panic!("{program}: {error}; it is installed by make deps"));
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn noise() -> Vec<u8> {
    fs::read(NOISE)
        .unwrap_or_else(|error| panic!("{NOISE}: {error}; the package alsa-utils is missing: run make deps"))
}

/// The head of a WAV file of 16-bit integers.
fn head(channels: u16, rate: u32, bytes: u32) -> Vec<u8> {
    let align = channels * 2;
    let parts: [&[u8]; 12] = [
        b"RIFF",
        &(bytes + 36).to_le_bytes(),
        b"WAVEfmt ",
        &16u32.to_le_bytes(),
        &1u16.to_le_bytes(),
        &channels.to_le_bytes(),
        &rate.to_le_bytes(),
        &(rate * u32::from(align)).to_le_bytes(),
        &align.to_le_bytes(),
        &16u16.to_le_bytes(),
        b"data",
        &bytes.to_le_bytes(),
    ];
    parts.concat()
}

/// Files, by name: what makes them, and what is said of them.
fn files(dir: &Path) -> Vec<(PathBuf, ErrorCode, &'static str, Vec<Says>)> {
    let path = |name: &str| dir.join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let formats = || vec![Expected("a WAV, AIFF, FLAC, Ogg Vorbis, MP3 or AAC file")];
    let again = || vec![Remedy("copy or export it again")];
    fs::create_dir(path("folder.wav")).unwrap();
    run("mkfifo", &[&text("pipe.wav")]);
    for (name, options) in
        [("mulaw.wav", &["-e", "mu-law"][..]), ("adpcm.wav", &["-e", "ms-adpcm"]), ("whole.flac", &[])]
    {
        run("sox", &[&[NOISE][..], options, &[&text(name)]].concat());
    }
    for (name, options) in [
        ("opus.ogg", &["-c:a", "libopus"][..]),
        ("whole.ogg", &["-c:a", "libvorbis"]),
        ("whole.m4a", &["-c:a", "aac"]),
        ("six.m4a", &["-c:a", "aac", "-ac", "6"]),
        ("ulaw.aiff", &["-c:a", "pcm_mulaw"]),
    ] {
        run("ffmpeg", &[&["-v", "error", "-i", NOISE][..], options, &[&text(name)]].concat());
    }
    let flac = fs::read(path("whole.flac")).unwrap();
    let [ogg, m4a] = ["whole.ogg", "whole.m4a"].map(|name| fs::read(path(name)).unwrap());
    for (name, contents) in [
        ("text.wav", &b"This is no sound.\n"[..]),
        ("empty.wav", b""),
        ("short.wav", b"RI"),
        ("mp3.wav", b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\0"),
        ("session.flac", b"{\"format\": 1}"),
        ("avi.wav", b"RIFF\x10\0\0\0AVI LIST"),
        ("head.wav", &noise()[..30]),
        ("no_data.wav", &noise()[..36]),
        ("nothing.wav", &head(1, 48_000, 0)),
        ("channels.wav", &[head(65, 48_000, 130), vec![0; 130]].concat()),
        ("no_channels.wav", &[head(0, 48_000, 128), vec![0; 128]].concat()),
        ("no_rate.wav", &[head(1, 0, 128), vec![0; 128]].concat()),
        ("odd_rate.wav", &[head(1, 999, 128), vec![0; 128]].concat()),
        ("cut.ogg", &ogg[..200]),
        ("cut.m4a", &m4a[..m4a.len() / 2]),
        ("head.flac", b"fLaC"),
        ("half_head.flac", &flac[..20]),
        ("no_frames.flac", &flac[..42]),
    ] {
        fs::write(path(name), contents).unwrap();
    }
    [
        ("missing.wav", NotFound, "there is no audio file", vec![Remedy("check the spelling")]),
        (
            "text.wav/below.wav",
            ErrorCode::Io,
            "could not read",
            vec![Remedy("check that the server may read it")],
        ),
        ("nul\0.wav", ErrorCode::Io, "could not read", vec![]),
        ("folder.wav", InvalidArgument, "is a folder", formats()),
        ("pipe.wav", InvalidArgument, "not an audio file", formats()),
        ("text.wav", InvalidArgument, "not an audio file", vec![Remedy("convert it")]),
        ("empty.wav", InvalidArgument, "not an audio file", formats()),
        ("short.wav", InvalidArgument, "not an audio file", formats()),
        ("mp3.wav", InvalidArgument, "no audio follows its tags", again()),
        ("session.flac", InvalidArgument, "not an audio file", formats()),
        ("avi.wav", InvalidArgument, "not an audio file", formats()),
        ("mulaw.wav", InvalidArgument, "mu-law", vec![Expected("8 to 32 bits"), Remedy("convert")]),
        ("adpcm.wav", InvalidArgument, "ADPCM", vec![Expected("8 to 32 bits")]),
        ("odd_rate.wav", InvalidArgument, "999 Hz", vec![Expected("a common rate"), Remedy("-r 48000")]),
        ("opus.ogg", InvalidArgument, "Opus in Ogg", vec![Expected("Ogg Vorbis"), Remedy("convert")]),
        ("cut.ogg", InvalidArgument, "damaged or unfinished", again()),
        ("cut.m4a", InvalidArgument, "damaged or unfinished", again()),
        ("six.m4a", InvalidArgument, "AAC of 6 channels", vec![Expected("1 or 2 channels")]),
        ("ulaw.aiff", InvalidArgument, "mu-law", vec![Expected("AIFF with integers")]),
        ("head.wav", InvalidArgument, "damaged or unfinished", again()),
        ("no_data.wav", InvalidArgument, "damaged or unfinished", again()),
        ("nothing.wav", InvalidArgument, "holds no samples", vec![Expected("at least one frame")]),
        ("channels.wav", InvalidArgument, "has 65 channels", vec![Expected("1 to 64 channels")]),
        ("no_channels.wav", InvalidArgument, "has 0 channels", vec![]),
        ("no_rate.wav", InvalidArgument, "0 Hz", vec![]),
        ("head.flac", InvalidArgument, "damaged or unfinished", again()),
        ("half_head.flac", InvalidArgument, "damaged or unfinished", again()),
        ("no_frames.flac", InvalidArgument, "ends before its samples", again()),
    ]
    .map(|(name, code, part, says)| (path(name), code, part, says))
    .into()
}

fn add(raw: &mut Raw, file: &str) -> Result<Reply, Error> {
    raw.call("clip_add", &json!({ "track": "drums", "file": file }).to_string())
}

#[test]
fn files_that_cannot_be_played_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let table = files(dir.path());
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    for (path, code, part, says) in table {
        let what = path.to_str().unwrap();
        let error = add(&mut raw, what).expect_err(what);
        check(what, &error, code, part, &says);
        let name = path.parent().unwrap().join(path.file_stem().unwrap());
        let name = name.to_str().unwrap().split('\0').next().unwrap().to_owned();
        assert!(error.message.contains(&name), "which file? {}", error.message);
        bench.goes_on(what);
    }
    // What is whole is taken, so the track was right.
    for whole in ["whole.flac", "whole.ogg", "whole.m4a"] {
        add(&mut raw, dir.path().join(whole).to_str().unwrap()).unwrap();
    }
}

#[test]
fn clips_are_refused_where_they_cannot_lie() {
    const TIMELINE: Says = Range(0.0, 1_099_511_627_776.0, "frames");
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    noise();
    for (method, params, code, part, says) in [
        ("clip_add", "{}", InvalidArgument, "missing field `track`", &[][..]),
        ("clip_add", r#"{"track":"drums"}"#, InvalidArgument, "missing field `file`", &[]),
        ("clip_add", r#"{"track":"drums","file":["a"]}"#, InvalidArgument, "clip_add", &[]),
        ("clip_add", r#"{"track":"drums","file":""}"#, InvalidArgument, "names no file", &[Expected("path")]),
        ("clip_add", r#"{"track":"drms","file":"NOISE"}"#, NotFound, "\"drms\"", &[Close("drums")]),
        ("clip_add", r#"{"track":"room","file":"NOISE"}"#, InvalidArgument, "only tracks have clips", &[]),
        (
            "clip_add",
            r#"{"track":"drums","file":"a.wav"}"#,
            InvalidArgument,
            "relative path",
            &[Remedy("save the session")],
        ),
        ("clip_add", r#"{"track":"drums","file":"NOISE","at":-1}"#, InvalidArgument, "-1", &[]),
        ("clip_add", r#"{"track":"drums","file":"NOISE","at":0.5}"#, InvalidArgument, "0.5", &[]),
        (
            "clip_add",
            r#"{"track":"drums","file":"NOISE","at":1099511627777}"#,
            OutOfRange,
            "a clip's at",
            &[TIMELINE],
        ),
        (
            "clip_add",
            r#"{"track":"drums","file":"NOISE","offset":1099511627777}"#,
            OutOfRange,
            "offset",
            &[TIMELINE],
        ),
        (
            "clip_add",
            r#"{"track":"drums","file":"NOISE","length":0}"#,
            OutOfRange,
            "length",
            &[Range(1.0, 1_099_511_627_776.0, "frames")],
        ),
        (
            "clip_add",
            r#"{"track":"drums","file":"NOISE","length":18446744073709551615}"#,
            OutOfRange,
            "length",
            &[],
        ),
        ("clip_remove", r#"{"track":"drums","clip":1}"#, NotFound, "clip on drums \"1\"", &[]),
        ("clip_remove", r#"{"track":"drums","clip":-1}"#, InvalidArgument, "-1", &[]),
        ("clip_remove", r#"{"track":"hall","clip":1}"#, InvalidArgument, "only tracks have clips", &[]),
    ] {
        let error = raw.call(method, &params.replace("NOISE", NOISE)).expect_err(params);
        check(params, &error, code, part, says);
        bench.goes_on(params);
    }
    // One of several files of a batch: none is taken.
    let clip =
        |file: &str| format!(r#"{{"method":"clip_add","params":{{"track":"drums","file":"{file}"}}}}"#);
    let batch = format!(r#"{{"commands":[{},{}]}}"#, clip(NOISE), clip("/nowhere.wav"));
    let error = raw.call("batch", &batch).unwrap_err();
    check(&batch, &error, NotFound, "/nowhere.wav", &[]);
    bench.goes_on(&batch);
}

#[test]
fn files_that_were_cut_short_play_as_far_as_they_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let whole = noise();
    run("sox", &[NOISE, &path("whole.flac")]);
    let flac = fs::read(path("whole.flac")).unwrap();
    // The header still promises everything; the last frame is half there.
    fs::write(path("cut.wav"), &whole[..whole.len() / 2 + 1]).unwrap();
    fs::write(path("cut.flac"), &flac[..flac.len() / 2]).unwrap();
    let samples = read_wav(Path::new(NOISE)).remove(0);
    for (file, least) in [("cut.wav", samples.len() / 2 - 30), ("cut.flac", samples.len() / 4)] {
        let server = Server::stepped();
        server.ok("track add mono --channels 1 --pan L100");
        server.ok("link mono master");
        server.ok(&format!("clip add mono {}", path(file)));
        let out = path("out.wav");
        server.ok(&format!("render {out} --raw"));
        let got = read_wav(Path::new(&out)).remove(0);
        assert!((least..samples.len() * 3 / 4).contains(&got.len()), "{file}: {} frames", got.len());
        assert_eq!(got, samples[..got.len()], "{file}");
    }
}

#[test]
fn files_that_go_away_are_told_and_the_session_plays_without_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("here.wav");
    fs::copy(NOISE, &file).unwrap();
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    add(&mut raw, file.to_str().unwrap()).unwrap();
    let folder = json!({ "path": dir.path().join("session") });
    raw.call("session_save", &folder.to_string()).unwrap();
    bench.accept();
    fs::rename(&file, dir.path().join("gone.wav")).unwrap();
    // What is open stays open: the file has only lost its name.
    bench.goes_on("renaming the file");
    let warnings = |raw: &mut Raw| match raw.call("status", "{}") {
        Ok(Reply::Status(status)) => status.warnings,
        other => panic!("{other:?}"),
    };
    assert_eq!(warnings(&mut raw), [] as [String; 0]);
    raw.call("session_open", &folder.to_string()).unwrap();
    let told = warnings(&mut raw);
    assert!(told.len() == 1 && told[0].contains("here.wav"), "{told:?}");

    // Going back to a clip whose file is missing works, and says so.
    let removed = raw.call("node_remove", r#"{"node":"drums"}"#);
    assert!(removed.is_ok(), "{removed:?}");
    match raw.call("undo", "{}") {
        Ok(Reply::Applied(applied)) => {
            assert!(applied.warnings.iter().any(|w| w.contains("here.wav")), "{:?}", applied.warnings);
        }
        other => panic!("{other:?}"),
    }
    // Editing goes on beside it, and the clip sounds again when its file is back.
    raw.call("set", r#"{"node":"drums","param":"gain","value":-6}"#).unwrap();
    raw.call("session_save", "{}").unwrap();
    fs::rename(dir.path().join("gone.wav"), &file).unwrap();
    raw.call("session_open", &folder.to_string()).unwrap();
    assert_eq!(warnings(&mut raw), [] as [String; 0]);
}
