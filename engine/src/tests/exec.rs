use super::Bench;
use api_types::exec::{CreateBody, StartBody};
use spec::{Class, ContainerId, ExecId};
use tokio::io::AsyncReadExt;

fn exec(json: &str) -> CreateBody {
    serde_json::from_str(json).unwrap()
}

#[tokio::test]
async fn an_exec_runs_once_and_tells_its_code() {
    let bench = Bench::new().await;
    let container = bench.started("web", "{}").await;
    let body = exec(r#"{"Cmd":["ls","-l"],"AttachStdout":true,"User":"web"}"#);
    let id = bench.engine.exec_create("web", body).await.unwrap();
    let shown = bench.engine.exec_inspect(&id).await.unwrap();
    assert_eq!(
        (shown.running, shown.exit_code, shown.process_config.entrypoint.as_str()),
        (false, None, "ls")
    );
    let attached = bench.engine.exec_start(&id, StartBody::default()).await.unwrap().unwrap();
    let (_stream, known) = attached.into_parts();
    assert!(bench.engine.exec_inspect(&id).await.unwrap().running);
    assert_eq!(
        *bench.engine.inspect("web", false).await.unwrap().exec_ids,
        std::slice::from_ref(&id)
    );
    let again = bench.engine.exec_start(&id, StartBody::default()).await.unwrap_err();
    assert_eq!(
        (again.class, again.message),
        (Class::Conflict, format!("exec command {id} is already running"))
    );
    let key = (ContainerId::parse(&container).unwrap(), Some(ExecId::parse(&id).unwrap()));
    bench.world.lock().end(&key, 4);
    // What a client waits for before it sees the end of its stream.
    known.await;
    let shown = bench.engine.exec_inspect(&id).await.unwrap();
    assert_eq!((shown.running, shown.exit_code), (false, Some(4)));
    let again = bench.engine.exec_start(&id, StartBody::default()).await.unwrap_err();
    assert_eq!(again.message, format!("exec command {id} has already run"));
    let actions = bench.actions();
    assert_eq!(actions[..4], ["create", "start", "exec_create: ls -l", "exec_start: ls -l"]);
}

#[tokio::test]
async fn an_exec_needs_a_command_a_user_and_a_container_that_runs() {
    let bench = Bench::new().await;
    let id = bench.create("web", "{}").await;
    let refused = bench.engine.exec_create("web", exec(r#"{"Cmd":["ls"]}"#)).await.unwrap_err();
    assert_eq!(
        (refused.class, refused.message),
        (Class::Conflict, format!("Container {id} is not running"))
    );
    bench.engine.start("web").await.unwrap();
    let empty = bench.engine.exec_create("web", exec("{}")).await.unwrap_err();
    assert_eq!(
        (empty.class, empty.message.as_str()),
        (Class::InvalidArgument, "No exec command specified")
    );
    let user =
        bench.engine.exec_create("web", exec(r#"{"Cmd":["ls"],"User":"x"}"#)).await.unwrap_err();
    assert_eq!(user.message, "unable to find user x: no matching entries in passwd file");
    bench.engine.pause("web").await.unwrap();
    let paused = bench.engine.exec_create("web", exec(r#"{"Cmd":["ls"]}"#)).await.unwrap_err();
    assert_eq!(
        paused.message,
        format!("Container web is paused, unpause the container before exec")
    );
    assert_eq!(
        bench.engine.exec_inspect("x").await.unwrap_err().message,
        "No such exec instance: x"
    );
}

#[tokio::test]
async fn a_failure_to_start_is_an_error_when_detached_and_text_in_the_stream_otherwise() {
    let bench = Bench::new().await;
    bench.started("web", "{}").await;
    bench.world.fail("start exec", Class::CommandNotFound);
    let id = bench.engine.exec_create("web", exec(r#"{"Cmd":["nope"],"Tty":true}"#)).await.unwrap();
    let mut attached = bench.engine.exec_start(&id, StartBody::default()).await.unwrap().unwrap();
    let mut text = String::new();
    attached.stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(
        text,
        "OCI runtime exec failed: exec failed: unable to start container process: start exec broke: unknown\r\n"
    );
    assert_eq!(bench.engine.exec_inspect(&id).await.unwrap().exit_code, Some(127));
    let id = bench.engine.exec_create("web", exec(r#"{"Cmd":["nope"]}"#)).await.unwrap();
    let start = StartBody { detach: true, ..StartBody::default() };
    let failure = bench.engine.exec_start(&id, start).await.unwrap_err();
    assert_eq!(failure.class, Class::CommandNotFound);
}
