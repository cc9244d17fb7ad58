//! A JACK client with a port `flapper:in`. At each line that it reads, it makes the port anew, as programs do that are
//! set up differently while they run, and answers with a line.

use std::io::{BufRead, Write};

fn main() {
    let client = aulos_tests::jackd::client("flapper");
    let make = |client: &jack::Client| {
        client.register_port("in", jack::AudioIn::default()).unwrap_or_else(|e| panic!("{e}"))
    };
    let port = make(&client);
    let active =
        client.activate_async((), jack::contrib::ClosureProcessHandler::new(|_, _| jack::Control::Continue));
    let active = active.unwrap_or_else(|e| panic!("{e}"));
    let mut port = Some(port);
    let say = |line: &str| {
        let mut out = std::io::stdout();
        writeln!(out, "{line}").and_then(|()| out.flush()).unwrap_or_else(|e| panic!("{e}"));
    };
    say("here");
    for _ in std::io::stdin().lock().lines() {
        if let Some(port) = port.take() {
            active.as_client().unregister_port(port).unwrap_or_else(|e| panic!("{e}"));
        }
        port = Some(make(active.as_client()));
        say("anew");
    }
}
