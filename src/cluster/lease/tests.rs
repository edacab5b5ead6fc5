use std::sync::{Arc, Mutex};
use std::time::Duration;

use expect_test::expect;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use self::fake::{Fake, Mood, clock, notes};
use super::{Command, Held, hold};
use crate::domain::election::{Config, Field, Timing};

pub(crate) mod fake;

struct Contender {
    commands: mpsc::Sender<Command>,
    held: watch::Receiver<Held>,
    heard: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

fn contend(fake: &Fake, who: &'static str) -> Contender {
    let (commands, queue) = mpsc::channel(8);
    let (tell, held) = watch::channel(Held::default());
    let (note, heard) = notes();
    let config = Config {
        identity: who.into(),
        timing: Timing::SET,
        field: Field::Few { uid: who.into() },
        seed: 5,
    };
    let store = fake.store(who, Timing::SET);
    #[expect(clippy::disallowed_methods, reason = "a task of a test")]
    let task = tokio::spawn(hold(store, config, clock(), queue, tell, note));
    Contender {
        commands,
        held,
        heard,
        task,
    }
}

impl Contender {
    fn holds(&self) -> bool {
        self.held.borrow().holds(clock()().mono)
    }

    /// Waits until it holds, or does not; how long that took.
    async fn until(&mut self, holds: bool) -> Duration {
        let began = Instant::now();
        let reached = self.held.wait_for(|held| held.until.is_some() == holds);
        timeout(Duration::from_secs(120), reached)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(self.holds(), holds);
        began.elapsed()
    }

    /// Time passes.
    async fn pass(&mut self, time: Duration) {
        timeout(time, std::future::pending::<()>())
            .await
            .unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_made_as_kubernetes_writes_it() {
    let fake = Fake::new();
    let mut one = contend(&fake, "shop-1_main");
    one.until(true).await;
    let mut lease = fake.lease();
    let times = lease["spec"].as_object_mut().unwrap();
    for time in ["acquireTime", "renewTime"] {
        let text = times.shift_remove(time).unwrap();
        let text = text.as_str().unwrap();
        assert_eq!(text.len(), "2027-01-15T08:00:00.000000Z".len(), "{text}");
    }
    expect![[r#"
        {
          "apiVersion": "coordination.k8s.io/v1",
          "kind": "Lease",
          "metadata": {
            "labels": {
              "app": "shop"
            },
            "name": "shop-podinit",
            "namespace": "shop",
            "resourceVersion": "41"
          },
          "spec": {
            "holderIdentity": "shop-1_main",
            "leaseDurationSeconds": 15,
            "leaseTransitions": 0
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&lease).unwrap());
    assert_eq!(fake.calls(), ["GET", "POST"]);
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_by_writes_alone_and_what_others_wrote_stays() {
    let fake = Fake::new();
    let mut one = contend(&fake, "one");
    one.until(true).await;
    {
        let mut state = fake.0.lock().unwrap();
        state.versions += 1;
        let version = state.versions.to_string();
        let lease = state.lease.as_mut().unwrap();
        lease["metadata"]["resourceVersion"] = json!(version);
        lease["metadata"]["annotations"] = json!({"owner": "team"});
        lease["spec"]["strategy"] = json!("OldestEmulationVersion");
    }
    one.commands.send(Command::Pods(12)).await.unwrap();
    fake.calls();
    one.pass(Duration::from_secs(7)).await;
    // The first write finds another version, and is made again.
    assert_eq!(fake.calls(), ["PUT", "GET", "PUT", "PUT", "PUT"]);
    let lease = fake.lease();
    let notes = json!({"owner": "team", "podinit.dev/pods": "12"});
    assert_eq!(lease["metadata"]["annotations"], notes);
    assert_eq!(lease["spec"]["strategy"], "OldestEmulationVersion");
    assert!(lease["spec"]["renewTime"].as_str() > lease["spec"]["acquireTime"].as_str());
    assert!(one.holds());
}

#[tokio::test(start_paused = true)]
async fn it_is_given_up_at_once_and_taken_by_the_next() {
    let fake = Fake::new();
    let (mut one, mut two) = (contend(&fake, "one"), contend(&fake, "two"));
    one.until(true).await;
    two.pass(Duration::from_secs(20)).await;
    assert!(one.holds() && !two.holds());
    one.commands.send(Command::Release).await.unwrap();
    assert!(one.until(false).await < Duration::from_millis(1));
    assert!(two.until(true).await < Duration::from_millis(4500));
    timeout(Duration::from_secs(1), one.task)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fake.lease()["spec"]["leaseTransitions"], 1);
    expect![[r#"
        info this pod holds the Lease shop/shop-podinit
        info this pod holds no longer the Lease shop/shop-podinit"#]]
    .assert_eq(&one.heard.lock().unwrap().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_stops_before_another_one_begins() {
    for mood in [None, Some(Mood::Forgetful)] {
        let fake = Fake::new();
        let (mut one, mut two) = (contend(&fake, "one"), contend(&fake, "two"));
        one.until(true).await;
        two.pass(Duration::from_secs(8)).await;
        match mood {
            None => fake.0.lock().unwrap().deaf_to = Some("one"),
            Some(mood) => fake.set(mood),
        }
        let lost = one.until(false).await;
        assert!((7990..=10_010).contains(&lost.as_millis()), "{lost:?}");
        assert!(!two.holds());
        fake.set(Mood::Well);
        fake.0.lock().unwrap().deaf_to = Some("one");
        let taken = two.until(true).await;
        assert!((3000..25_000).contains(&taken.as_millis()), "{taken:?}");
        assert!(!one.holds());
        let heard = one.heard.lock().unwrap().join("\n");
        assert!(heard.contains("no longer"), "{heard}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_comes_back_soon_after_the_server() {
    let fake = Fake::new();
    let mut one = contend(&fake, "one");
    one.until(true).await;
    for mood in [Mood::Silent, Mood::Refusing(500), Mood::Forgetful] {
        fake.set(mood);
        one.until(false).await;
        one.pass(Duration::from_secs(60)).await;
        fake.set(Mood::Well);
        let back = one.until(true).await;
        assert!(back < Duration::from_secs(5), "{mood:?}: {back:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_does_not_hold_a_stop_up() {
    let fake = Fake::new();
    let mut one = contend(&fake, "one");
    one.until(true).await;
    fake.set(Mood::Silent);
    one.pass(Duration::from_millis(2100)).await;
    one.commands.send(Command::Release).await.unwrap();
    assert!(one.until(false).await < Duration::from_millis(1));
    // The request that hangs is given up, and once the server answers it is told.
    one.pass(Duration::from_millis(1200)).await;
    fake.set(Mood::Well);
    let began = Instant::now();
    timeout(Duration::from_secs(5), one.task)
        .await
        .unwrap()
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(fake.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_named_once() {
    for mood in [Mood::Refusing(403), Mood::ReadOnly(403)] {
        let fake = Fake::new();
        fake.set(mood);
        let mut one = contend(&fake, "one");
        one.pass(Duration::from_secs(60)).await;
        fake.set(Mood::Well);
        one.until(true).await;
        expect![[r#"
            warn the Lease shop/shop-podinit cannot be had: leases.coordination.k8s.io: Forbidden (the pod's Role must allow get, create and update of leases)
            info the Lease shop/shop-podinit can be had again
            info this pod holds the Lease shop/shop-podinit"#]]
        .assert_eq(&one.heard.lock().unwrap().join("\n"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_anew_by_its_holder() {
    let fake = Fake::new();
    let (mut one, two) = (contend(&fake, "one"), contend(&fake, "two"));
    one.until(true).await;
    one.pass(Duration::from_secs(8)).await;
    fake.0.lock().unwrap().lease = None;
    one.pass(Duration::from_secs(30)).await;
    assert!(one.holds() && !two.holds());
    assert_eq!(fake.holder(), "one");
}
