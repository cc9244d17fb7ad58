//! What can be read and subscribed to, in both eras; completion and prompts.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use aulos_tests::server::Server;
use rmcp::{
    ClientHandler, RoleClient,
    model::{
        ArgumentInfo, CompleteRequestParams, GetPromptRequestParams, ReadResourceRequestParams, Reference,
        ResourceUpdatedNotificationParam,
    },
    service::NotificationContext,
};
use serde_json::{Value as Json, json};

use crate::agent::{Agent, Lines, block_on, meta, until};

async fn read<H: ClientHandler>(agent: &Agent<H>, uri: &str) -> Result<String, String> {
    let answer = agent.client.read_resource(ReadResourceRequestParams::new(uri)).await;
    let result = answer.map_err(|error| error.to_string())?;
    let json = serde_json::to_value(&result.contents).unwrap();
    Ok(json[0]["text"].as_str().unwrap().to_owned())
}

#[test]
fn the_session_can_be_read() {
    let server = Server::stepped();
    server.ok("track add drums --gain -3dB");
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        let resources = agent.client.list_all_resources().await.unwrap();
        let uris: Vec<_> = resources.iter().map(|resource| resource.uri.as_str()).collect();
        assert_eq!(uris, ["audio://overview", "audio://session", "audio://log/recent"]);
        let templates = agent.client.list_all_resource_templates().await.unwrap();
        assert_eq!(templates[0].uri_template, "audio://node/{name}");
        let overview: Json = serde_json::from_str(&read(&agent, "audio://overview").await.unwrap()).unwrap();
        assert_eq!(overview["nodes"], agent.ok("get_overview", json!({})).await["nodes"]);
        let node: Json = serde_json::from_str(&read(&agent, "audio://node/drums").await.unwrap()).unwrap();
        assert_eq!((&node["params"]["gain"], &node["params"]["pan"]), (&json!(-3.0), &json!(0.0)));
        let session: Json = serde_json::from_str(&read(&agent, "audio://session").await.unwrap()).unwrap();
        assert_eq!(session["format"], 1);
        until("the log tells of it", async || {
            server.ok("set drums/gain -4dB");
            read(&agent, "audio://log/recent").await.unwrap().contains("drums gain")
        })
        .await;
        for (uri, word) in [
            ("audio://node/drms", "drums"),
            ("audio://nothing", "audio://session"),
            ("file:///etc/passwd", "audio"),
        ] {
            let said = read(&agent, uri).await.unwrap_err();
            assert!(said.contains(word), "{uri}: {said}");
        }
    });
}

#[derive(Clone, Default)]
struct Told {
    uris: Arc<Mutex<Vec<String>>>,
    count: Arc<AtomicUsize>,
}

impl ClientHandler for Told {
    async fn on_resource_updated(
        &self,
        update: ResourceUpdatedNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.uris.lock().unwrap().push(update.uri);
        self.count.fetch_add(1, Relaxed);
    }
}

#[test]
fn the_older_protocol_is_told_what_it_subscribes_to() {
    let server = Server::stepped();
    server.ok("track add drums");
    let mut lines = Lines::initialized(&server, &[]);
    let refused = lines.ask(2, "resources/subscribe", json!({ "uri": "audio://nothing" }));
    assert!(refused["error"]["message"].as_str().unwrap().contains("audio://node"), "{refused}");
    for (id, uri) in [(3, "audio://node/drums"), (4, "audio://overview")] {
        let answer = lines.ask(id, "resources/subscribe", json!({ "uri": uri }));
        assert!(answer.get("result").is_some(), "{answer}");
    }
    let mut seen = std::collections::BTreeSet::new();
    // The follower may only just have connected; what is set again until it is told, is told.
    let changes = std::thread::spawn({
        let socket = server.socket();
        move || {
            let mut client = aulos_protocol::client::Client::connect(&socket).unwrap().0;
            for n in 0..40 {
                client
                    .command(aulos_protocol::Command::SetParam {
                        node: "drums".into(),
                        param: "gain".into(),
                        value: aulos_protocol::Value::Number(-f64::from(n) / 10.0 - 0.1),
                    })
                    .unwrap();
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
    });
    while seen.len() < 2 {
        let told = lines.hear();
        assert_eq!(told["method"], "notifications/resources/updated", "{told}");
        seen.insert(told["params"]["uri"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["audio://node/drums".to_owned(), "audio://overview".to_owned()].into());
    changes.join().unwrap();
    let answer = lines.ask(9, "resources/unsubscribe", json!({ "uri": "audio://overview" }));
    assert!(answer.get("result").is_some(), "{answer}");
}

#[test]
fn the_newer_protocol_listens() {
    let server = Server::stepped();
    server.ok("track add drums");
    let mut lines = Lines::new(&server, &[]);
    let meta = meta(json!({}));
    let found = lines.ask(1, "server/discover", json!({ "_meta": meta }));
    assert!(found["result"]["supportedVersions"].to_string().contains("2026-07-28"), "{found}");
    assert!(found["result"]["supportedVersions"].to_string().contains("2025-11-25"), "{found}");
    let wanted = json!({ "resourceSubscriptions": ["audio://node/drums", "audio://nothing"] });
    let listen = json!({ "_meta": meta, "notifications": wanted });
    lines.say(
        &json!({ "jsonrpc": "2.0", "id": 2, "method": "subscriptions/listen", "params": listen }).to_string(),
    );
    let told = lines.hear();
    assert_eq!(told["method"], "notifications/subscriptions/acknowledged", "{told}");
    assert!(!told.to_string().contains("audio://nothing"), "{told}");
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let changes = std::thread::spawn({
        let (socket, stop) = (server.socket(), stop.clone());
        move || {
            let mut client = aulos_protocol::client::Client::connect(&socket).unwrap().0;
            let mut n = 0.0;
            while !stop.load(Relaxed) {
                n = (n + 0.1) % 20.0;
                let value = aulos_protocol::Value::Number(-n);
                let (node, param) = ("drums".into(), "gain".into());
                client.command(aulos_protocol::Command::SetParam { node, param, value }).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    });
    let told = lines.hear();
    stop.store(true, Relaxed);
    changes.join().unwrap();
    assert_eq!(told["method"], "notifications/resources/updated", "{told}");
    assert_eq!(told["params"]["uri"], "audio://node/drums");
    // The same connection still answers.
    let arguments = json!({ "_meta": meta, "name": "get_overview", "arguments": {} });
    let answer = lines.ask(3, "tools/call", arguments);
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
}

#[test]
fn names_are_completed_and_prompts_are_filled_in() {
    let server = Server::stepped();
    for name in ["drums", "drone", "bass-drum"] {
        server.ok(&format!("track add {name}"));
    }
    block_on(async {
        let agent = Agent::with(&server, &[], Told::default()).await;
        let complete = async |reference: Reference, name: &str, value: &str| {
            let argument = ArgumentInfo::new(name, value);
            let asked = CompleteRequestParams::new(reference, argument);
            agent.client.complete(asked).await.unwrap().completion.values
        };
        let node = || Reference::for_resource("audio://node/{name}");
        assert_eq!(complete(node(), "name", "dr").await, ["drums", "drone", "bass-drum"]);
        assert_eq!(
            complete(Reference::for_prompt("find_no_sound"), "node", "dru").await,
            ["drums", "bass-drum"]
        );
        assert!(complete(Reference::for_prompt("gain_staging"), "loudness", "-1").await.is_empty());
        let prompts = agent.client.list_all_prompts().await.unwrap();
        assert_eq!(prompts.len(), 2);
        let get = async |name: &str, arguments: Json| {
            let asked =
                GetPromptRequestParams::new(name).with_arguments(arguments.as_object().unwrap().clone());
            match agent.client.get_prompt(asked).await {
                Ok(result) => Ok(serde_json::to_string(&result.messages).unwrap()),
                Err(error) => Err(error.to_string()),
            }
        };
        assert!(
            get("find_no_sound", json!({ "node": "drums" }))
                .await
                .unwrap()
                .contains("\\\"drums\\\" is not heard")
        );
        assert!(get("gain_staging", json!({ "loudness": "-23" })).await.unwrap().contains("-23 LUFS"));
        assert!(get("gain_staging", json!({ "loudness": "loud" })).await.unwrap_err().contains("-60 to 0"));
        assert!(get("gain_stage", json!({})).await.unwrap_err().contains("gain_staging"));
    });
}
