//! Records what JACK ports play, to a file of interleaved 32-bit floats: a witness beside the server that is tested.
//!
//! `jack-recorder FILE PORT...`, with the server named by JACK_DEFAULT_SERVER. Says `recording` when it is
//! connected to all ports, and ends when stdin does. It waits for its file rather than lose a frame: the tests'
//! servers run in synchronous mode and wait for it.

use std::{
    io::{BufWriter, Read, Write},
    time::{Duration, Instant},
};

use jack::{AudioIn, Client, Control, Port, ProcessScope};

fn main() {
    let mut args = std::env::args().skip(1);
    let file = args.next().expect("jack-recorder FILE PORT...");
    let sources: Vec<String> = args.collect();
    let client = aulos_tests::jackd::client("recorder");
    let ports: Vec<Port<AudioIn>> = (0..sources.len())
        .map(|at| client.register_port(&format!("in_{at}"), AudioIn::default()).expect("a port"))
        .collect();
    let names: Vec<String> = ports.iter().map(|port| port.name().expect("its name")).collect();
    let (mut samples, mut incoming) = rtrb::RingBuffer::<f32>::new(1 << 20);
    let process = jack::contrib::ClosureProcessHandler::new(move |_: &Client, scope: &ProcessScope| {
        for frame in 0..scope.n_frames() as usize {
            for port in &ports {
                let sample = port.as_slice(scope)[frame];
                while samples.push(sample).is_err() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        Control::Continue
    });
    let active = client.activate_async((), process).expect("an active client");
    let begun = Instant::now();
    for (source, name) in sources.iter().zip(&names) {
        while let Err(error) = active.as_client().connect_ports_by_name(source, name) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{error}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let mut out = BufWriter::new(std::fs::File::create(file).expect("the file"));
    let (end, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        std::io::stdin().read_to_end(&mut Vec::new()).expect("stdin");
        end.send(()).expect("the main thread");
    });
    let mut told = std::io::stdout();
    writeln!(told, "recording").and_then(|()| told.flush()).expect("stdout");
    while ended.try_recv().is_err() {
        while let Ok(sample) = incoming.pop() {
            out.write_all(&sample.to_le_bytes()).expect("the file");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    while let Ok(sample) = incoming.pop() {
        out.write_all(&sample.to_le_bytes()).expect("the file");
    }
    out.flush().expect("the file");
}
