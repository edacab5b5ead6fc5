use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::{Command, claim};
use crate::cluster::lease::tests::fake::{Fake, Mood, clock, notes};
use crate::domain::claim::{Config, News, Refusal, RunKey, TIMING, Term};

struct Claimant {
    commands: mpsc::Sender<Command>,
    news: mpsc::UnboundedReceiver<News>,
}

fn start(fake: &Fake, who: &'static str, patience: u64) -> Claimant {
    let (commands, queue) = mpsc::channel(8);
    let (tell, news) = mpsc::unbounded_channel();
    let config = Config {
        identity: who.into(),
        timing: TIMING,
        key: RunKey::given("v7"),
        patience: Some(Duration::from_secs(patience)),
        seed: who.len() as u64 * 77 + u64::from(who.as_bytes()[who.len() - 1]),
    };
    let tell = move |news| {
        let _ = tell.send(news);
    };
    let store = fake.store(who, TIMING);
    #[expect(clippy::disallowed_methods, reason = "a task of a test")]
    tokio::spawn(claim(store, config, clock(), queue, tell, notes().0));
    Claimant { commands, news }
}

impl Claimant {
    /// The next news but renewals.
    async fn news(&mut self) -> News {
        let next = async {
            loop {
                match self.news.recv().await.unwrap() {
                    News::Renewed(_) => {}
                    news => break news,
                }
            }
        };
        timeout(Duration::from_secs(1000), next).await.unwrap()
    }

    async fn granted(&mut self) -> Term {
        match self.news().await {
            News::Granted(term) => term,
            news => panic!("{news:?}"),
        }
    }

    async fn ended(&self, success: bool) {
        self.commands
            .send(Command::Ended { success })
            .await
            .unwrap();
    }
}

async fn pass(time: Duration) {
    timeout(time, std::future::pending::<()>())
        .await
        .unwrap_err();
}

const PODS: [&str; 10] = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9"];

#[tokio::test(start_paused = true)]
async fn ten_pods_run_it_once() {
    let fake = Fake::new();
    let running = Arc::new(Mutex::new((0, 0, 0)));
    let mut pods = tokio::task::JoinSet::new();
    for who in PODS {
        let (mut pod, running) = (start(&fake, who, 600), running.clone());
        pods.spawn(async move {
            match pod.news().await {
                News::Done => {}
                News::Granted(_) => {
                    running.lock().unwrap().0 += 1;
                    pass(Duration::from_secs(200)).await;
                    {
                        let mut now = running.lock().unwrap();
                        assert_eq!(now.0, 1, "two at once");
                        (now.0, now.1) = (0, now.1 + 1);
                    }
                    pod.ended(true).await;
                    assert_eq!(pod.news().await, News::Recorded);
                }
                news => panic!("{news:?}"),
            }
            running.lock().unwrap().2 += 1;
        });
    }
    while let Some(pod) = pods.join_next().await {
        pod.unwrap();
    }
    assert_eq!(
        *running.lock().unwrap(),
        (0, 1, 10),
        "running, successes, pods that go on"
    );
    let lease = fake.lease();
    assert_eq!(lease["spec"]["holderIdentity"], "");
    let notes =
        json!({"podinit.dev/run-key": "v7", "podinit.dev/succeeded": &*RunKey::given("v7").id});
    assert_eq!(lease["metadata"]["annotations"], notes);
}

#[tokio::test(start_paused = true)]
async fn the_next_one_runs_it_soon_after_a_failure() {
    let fake = Fake::new();
    let mut one = start(&fake, "one", 600);
    one.granted().await;
    let mut two = start(&fake, "two", 600);
    pass(Duration::from_secs(20)).await;
    one.ended(false).await;
    let began = Instant::now();
    assert_eq!(one.news().await, News::Recorded);
    two.granted().await;
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_loses_its_run_before_another_one_begins() {
    let fake = Fake::new();
    let mut one = start(&fake, "one", 600);
    let first = one.granted().await;
    let mut two = start(&fake, "two", 600);
    fake.0.lock().unwrap().deaf_to = Some("one");
    assert_eq!(one.news().await, News::Lost);
    let told = clock()().mono;
    assert!(told >= first.stop_at && told < first.kill_at);
    two.granted().await;
    let (began, killed) = (clock()().mono, first.kill_at);
    assert!(
        began.since(killed) >= Duration::from_secs(15),
        "{:?}",
        began.since(killed)
    );
    // What the first one says now is not heard any more, and what it did is done again.
    fake.0.lock().unwrap().deaf_to = None;
    one.ended(true).await;
    assert_eq!(one.news().await, News::Unrecorded);
    two.ended(true).await;
    assert_eq!(two.news().await, News::Recorded);
}

#[tokio::test(start_paused = true)]
async fn a_success_is_written_when_the_server_is_back() {
    for mood in [Mood::Silent, Mood::Refusing(500), Mood::Forgetful] {
        let fake = Fake::new();
        let mut one = start(&fake, "one", 600);
        one.granted().await;
        fake.set(mood);
        one.ended(true).await;
        // Longer than the Lease; nobody else asks.
        pass(Duration::from_secs(300)).await;
        fake.set(Mood::Well);
        let began = Instant::now();
        assert_eq!(one.news().await, News::Recorded);
        assert!(began.elapsed() < Duration::from_secs(11), "{mood:?}");
        assert_eq!(start(&fake, "two", 600).news().await, News::Done);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_and_asking_in_vain_end() {
    let fake = Fake::new();
    let mut one = start(&fake, "one", 600);
    one.granted().await;
    let mut two = start(&fake, "two", 300);
    let holder = Some("one".into());
    assert_eq!(two.news().await, News::Refused(Refusal::TooLong { holder }));
    fake.set(Mood::Refusing(403));
    let began = Instant::now();
    let news = start(&fake, "three", 600).news().await;
    assert!(
        matches!(news, News::Refused(Refusal::Denied(_))),
        "{news:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(15));
}

/// podinit leaves with a process that even SIGKILL does not end: it may still write, so nobody else begins before the Lease
/// is over.
#[tokio::test(start_paused = true)]
async fn a_claim_whose_run_nobody_saw_end_is_not_given_up() {
    let fake = Fake::new();
    let mut first = start(&fake, "a", 600);
    first.granted().await;
    drop(first.commands);
    pass(Duration::from_secs(5)).await;
    assert!(!fake.holder().is_empty(), "{}", fake.lease());
    // And one that only waits is.
    let second = start(&fake, "b", 600);
    drop(second.commands);
    pass(Duration::from_secs(5)).await;
    assert!(fake.holder().starts_with('a'), "{}", fake.lease());
}
