//! The engine with workers that only remember: no privilege, no kernel object, every crash point reachable.

mod boot;
mod create;
mod exec;
mod health;
mod life;
mod remove;
mod world;

use crate::{Config, Engine};
use api_types::container::CreateBody;
use world::World;

/// An engine on a directory of its own.
struct Bench {
    world: World,
    directory: tempfile::TempDir,
    engine: Engine,
}

impl Bench {
    /// An engine with an image `busybox` whose command is `sh`.
    async fn new() -> Self {
        let world = World::default();
        let directory = tempfile::tempdir().unwrap();
        let engine = open(&world, &directory).await;
        let import = images::NewImport {
            name: Some(("busybox".into(), "latest".into())),
            changes: vec!["CMD [\"sh\"]".into(), "ENV IMAGE=1".into()],
            ..images::NewImport::default()
        };
        // A tar without entries.
        engine.0.images.import(std::io::Cursor::new(vec![0u8; 1024]), import).await.unwrap();
        Self { world, directory, engine }
    }

    /// The engine dies with SIGKILL, as far as a test can make it, and another one opens what it left.
    async fn crash(&mut self) {
        // The stores are open twice for a moment, which a lock forbids: close without anything being settled.
        self.engine.0.containers.clear();
        self.world.cut();
        self.engine.0.store.close().unwrap();
        self.engine = open(&self.world, &self.directory).await;
    }

    async fn create(&self, name: &str, json: &str) -> String {
        self.engine.create(Some(name.into()), None, body(json)).await.unwrap().id
    }

    async fn started(&self, name: &str, json: &str) -> String {
        let id = self.create(name, json).await;
        self.engine.start(name).await.unwrap();
        id
    }

    async fn status(&self, name: &str) -> String {
        self.engine.inspect(name, false).await.unwrap().state.status
    }

    /// Waits until the container is in this state.
    async fn until(&self, name: &str, status: &str) {
        let handle = self.engine.0.containers.find(name).unwrap();
        let mut view = handle.view.clone();
        view.wait_for(|view| view.state.word() == status).await.unwrap();
    }

    /// Waits until the workers have come to this.
    async fn until_world(&self, reached: impl Fn(&world::State) -> bool) {
        while !reached(&self.world.lock()) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    fn actions(&self) -> Vec<String> {
        let (past, _) = self.engine.events().subscribe();
        past.iter()
            .filter(|event| event.kind == "container")
            .map(|event| event.action.clone())
            .collect()
    }
}

async fn open(world: &World, directory: &tempfile::TempDir) -> Engine {
    let config = Config { data_root: directory.path().into(), ..Config::default() };
    Engine::open(config, world.workers()).await.unwrap()
}

fn body(json: &str) -> CreateBody {
    let mut body: CreateBody = api_types::lenient::from_slice(json.as_bytes()).unwrap();
    if body.config.image.is_empty() {
        body.config.image = "busybox".into();
    }
    body
}
