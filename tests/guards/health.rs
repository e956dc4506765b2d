//! The routes for load balancers in each framework.

use example_pages::Guards;
use human_check_core::MemoryReplayStore;
use human_check_guard::{Guard, HealthEndpoint, RoutePolicy};

use crate::client::{Connection, Request};
use crate::fixture::{Framework, ScriptedProvider, serve};

#[test]
fn a_load_balancer_learns_whether_the_process_replies_and_is_ready() {
    for framework in Framework::ALL {
        // A store without room fails each claim.
        for (capacity, status) in [(10, 200), (0, 503)] {
            let provider = ScriptedProvider::default();
            let guard = |route: &'static str| {
                Guard::new(provider.clone(), RoutePolicy::fail_closed(route)).unwrap()
            };
            let mut guards = Guards::new(guard("signup"), guard("comments"));
            guards.health =
                HealthEndpoint::new().with_replay_store(MemoryReplayStore::new(capacity));
            let mut connection = Connection::to(serve(framework, guards));
            let live = connection
                .send(&Request::post("/healthz").method("GET"))
                .unwrap();
            assert_eq!(
                (live.status, live.body.as_str()),
                (200, r#"{"status":"live"}"#)
            );
            let ready = connection
                .send(&Request::post("/readyz").method("GET"))
                .unwrap();
            assert_eq!(ready.status, status, "{framework:?}");
            assert!(!ready.body.contains("replay_store"), "{}", ready.body);
            let head = connection.send(&Request::post("/readyz").method("HEAD"));
            assert_eq!(head.unwrap().status, status, "{framework:?}");
            assert_eq!(provider.calls(), 0, "no provider is called");
        }
    }
}
