//! A client and a server as in the engine: one asks from tokio, the other answers from its own thread.
#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use messages::control::{Control, Role};
use messages::network::{Reply, Request};
use spec::{Class, Failure};
use std::os::fd::{AsFd, OwnedFd};
use std::thread::JoinHandle;
use transport::{Client, Connection, Handler, Incoming, Kind, Server, encode, pair};

/// Answers `HostRoutes` with nothing, `RemoveBridge` with an error that names it, `CreateSandbox` with a descriptor,
/// and ends without an answer when asked to `EnsureBridge`.
struct Fake;

impl Handler<Request> for Fake {
    fn request(&mut self, mut incoming: Incoming<Request>) {
        match incoming.request {
            Request::HostRoutes => incoming.responder.answer(Ok((Reply::Routes(vec![]), vec![]))),
            Request::RemoveBridge { link } => {
                incoming.responder.answer(Err(Failure::conflict(format!("{link} is in use"))));
            }
            Request::CreateSandbox { .. } => {
                let given = incoming.descriptors.take(messages::Fd(0)).unwrap();
                let reply =
                    Reply::Sandbox { netns: messages::Fd(0), ports: vec![], resolver: None };
                incoming.responder.answer(Ok((reply, vec![given])));
            }
            Request::EnsureBridge(_) => panic!("the worker dies"),
            _ => drop(incoming.responder),
        }
    }
}

struct Worker {
    control: Connection,
    thread: JoinHandle<()>,
}

fn start() -> Worker {
    let (ours, theirs) = pair().unwrap();
    let thread = std::thread::spawn(move || {
        let server = Server::<Request>::new(theirs);
        server.run(&mut Fake).unwrap();
    });
    Worker { control: ours.into(), thread }
}

impl Worker {
    fn tell(&self, control: &Control, fds: &[OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        self.control.send(Kind::Oneway, 0, &encode(control).unwrap(), &fds).unwrap();
    }

    fn connect(&self, client: &Client<Request>) {
        let (ours, theirs) = pair().unwrap();
        self.tell(&Control::Peer(Role::Api), &[theirs]);
        client.connect(ours).unwrap();
    }

    fn stop(self) {
        self.tell(&Control::Stop, &[]);
        self.thread.join().unwrap();
    }
}

fn bridge() -> messages::network::Bridge {
    messages::network::Bridge {
        link: "br0".into(),
        gateways: vec![],
        mtu: None,
        icc: true,
        masquerade: true,
        internal: false,
        ..Default::default()
    }
}

/// Takes requests as a worker that forks does, and answers none until it is told.
struct Forking {
    taken: std::sync::mpsc::Sender<()>,
    stand_ins: Vec<transport::StandIn>,
}

impl Handler<Request> for Forking {
    fn request(&mut self, incoming: Incoming<Request>) {
        self.stand_ins.push(incoming.responder.stand_in());
        self.taken.send(()).unwrap();
    }

    fn control(&mut self, _control: Control) {
        for stand_in in self.stand_ins.drain(..) {
            stand_in.refuse(&Failure::internal("dead"));
        }
    }
}

#[tokio::test]
async fn what_forked_children_have_not_answered_counts_for_who_asked() {
    let (ours, theirs) = pair().unwrap();
    let (taken, count) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let mut forking = Forking { taken, stand_ins: Vec::new() };
        Server::<Request>::new(theirs).run(&mut forking).unwrap();
    });
    let worker = Worker { control: ours.into(), thread };
    let client = Client::new(Role::Network);
    worker.connect(&client);
    let asked: Vec<_> = (0..200)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call(Request::HostRoutes, vec![]).await })
        })
        .collect();
    let next = async || {
        let wait = std::time::Duration::from_millis(1);
        while count.try_recv().is_err() {
            tokio::time::sleep(wait).await;
        }
    };
    for _ in 0..128 {
        next().await;
    }
    // A second asker is served, and by its answer the first one's further requests could have been taken.
    let second = Client::new(Role::Network);
    worker.connect(&second);
    let other = tokio::spawn(async move { second.call(Request::HostRoutes, vec![]).await });
    next().await;
    assert!(count.try_recv().is_err());
    // Anything but a peer or a stop makes the worker give up all that it has.
    worker.tell(&Control::Ready, &[]);
    other.await.unwrap().unwrap_err();
    for _ in 0..72 {
        next().await;
    }
    worker.tell(&Control::Ready, &[]);
    for call in asked {
        assert_eq!(call.await.unwrap().unwrap_err().message, "dead");
    }
    worker.stop();
}

#[tokio::test]
async fn answers_reach_who_asked_though_many_ask_at_once() {
    let worker = start();
    let client = Client::new(Role::Network);
    worker.connect(&client);
    let calls = (0..300).map(|i| {
        let client = client.clone();
        tokio::spawn(async move {
            let link = format!("br{i}");
            let failure = client.call(Request::RemoveBridge { link }, vec![]).await.unwrap_err();
            assert_eq!(failure, Failure::conflict(format!("br{i} is in use")));
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    worker.stop();
}

#[tokio::test]
async fn descriptors_travel_both_ways() {
    let worker = start();
    let client = Client::new(Role::Network);
    worker.connect(&client);
    let file: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    let request = Request::CreateSandbox {
        endpoints: vec![],
        sysctls: vec![],
        ports: vec![],
        resolver: false,
    };
    let (reply, fds) = client.call(request, vec![file]).await.unwrap();
    assert_eq!(reply, Reply::Sandbox { netns: messages::Fd(0), ports: vec![], resolver: None });
    assert_eq!(fds.len(), 1);
    worker.stop();
}

#[tokio::test]
async fn a_request_waits_for_the_first_connection() {
    let worker = start();
    let client = Client::new(Role::Network);
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.call(Request::HostRoutes, vec![]).await }
    });
    tokio::task::yield_now().await;
    worker.connect(&client);
    assert_eq!(asked.await.unwrap().unwrap().0, Reply::Routes(vec![]));
    worker.stop();
}

#[tokio::test]
async fn a_harmless_request_is_asked_again_of_the_worker_that_replaces_a_dead_one() {
    let dying = start();
    let client = Client::new(Role::Network);
    dying.connect(&client);
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.call(Request::EnsureBridge(bridge()), vec![]).await }
    });
    tokio::task::spawn_blocking(move || dying.thread.join()).await.unwrap().unwrap_err();
    let second = start();
    second.connect(&client);
    tokio::task::spawn_blocking(move || second.thread.join()).await.unwrap().unwrap_err();
    let third = start();
    third.connect(&client);
    let failure = asked.await.unwrap().unwrap_err();
    assert_eq!(failure.class, Class::Unavailable);
    assert_eq!(failure.message, "ensure bridge: the network worker ended before it answered");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_answer_is_reported_after_the_deadline() {
    let worker = start();
    let client = Client::new(Role::Network);
    worker.connect(&client);
    let failure = client
        .call(
            Request::Reconcile {
                bridges: vec![],
                addresses: vec![],
                ports: vec![],
                complete: true,
            },
            vec![],
        )
        .await
        .unwrap_err();
    assert_eq!(failure.class, Class::DeadlineExceeded);
    assert_eq!(failure.message, "reconcile networks: the network worker did not answer in time");
    worker.stop();
}

#[test]
fn a_peer_that_sends_garbage_is_answered_or_cut_off_and_others_are_served() {
    let worker = start();
    let (bad, theirs) = pair().unwrap();
    worker.tell(&Control::Peer(Role::Api), &[theirs]);
    let bad = Connection::from(bad);
    bad.send(Kind::Request, 1, &[0xFF; 300], &[]).unwrap();
    let frame = bad.receive().unwrap().unwrap();
    assert_eq!((frame.kind, frame.sequence), (Kind::Failure, 1));
    bad.send(Kind::Oneway, 1, &[], &[]).unwrap();
    assert!(bad.receive().unwrap().is_none());

    let (good, theirs) = pair().unwrap();
    worker.tell(&Control::Peer(Role::Api), &[theirs]);
    let good = Connection::from(good);
    good.send(Kind::Request, 9, &encode(&Request::HostRoutes).unwrap(), &[]).unwrap();
    assert_eq!(good.receive().unwrap().unwrap().sequence, 9);
    worker.stop();
}
