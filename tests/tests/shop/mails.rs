//! How mails leave the shop: once, whatever comes twice, and at last, whatever is in the way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bodega_host::{Phase, Verdict};
use futures::future::join_all;
use serde_json::{Value, json};
use shop_tests::{Customer, Script, Shop, ShopOptions, eventually, needs_bench};

use crate::{
    events::deliver,
    local_server::Mood,
    mail_api::{self, MailApi},
};

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    api: MailApi,
    shop: Shop,
    ann: Customer,
    mug: i64,
}

impl World {
    async fn open(options: impl FnOnce(ShopOptions) -> ShopOptions) -> Self {
        let api = mail_api::start().await;
        let shop = Shop::start(options(mail_api::options(&api))).await;
        let ann = shop.customer("ann").await;
        let mug = shop.product(5.0, 1000).await;
        shop.settle().await;
        Self { api, shop, ann, mug }
    }

    /// The mail of an order that ann places.
    async fn place(&self) {
        self.shop.place(&self.ann, self.mug, 1, None).await;
    }

    /// Of the newest mail: its status, its attempts, what went wrong.
    fn last(&self) -> (Value, Value, Value) {
        let last = "SELECT status, attempts, last_error FROM mails ORDER BY id DESC LIMIT 1";
        let mut row = self.shop.query("notifications", last).pop().unwrap_or(vec![Value::Null; 3]);
        let (error, attempts, status) = (row.pop(), row.pop(), row.pop());
        (status.unwrap(), attempts.unwrap(), error.unwrap())
    }

    /// How many mails are so.
    fn count(&self, condition: &str) -> u64 {
        let count = format!("SELECT count(*) FROM mails WHERE {condition}");
        self.shop.value("notifications", &count).as_u64().unwrap()
    }

    /// Waits until that attempt has come to nothing.
    async fn attempted(&self, attempt: i64) {
        let ended = async || self.last().1 == attempt && !self.last().2.is_null();
        eventually(PATIENCE, &format!("attempt {attempt} has ended"), ended).await;
    }

    /// To when the next attempt is due, which somebody begins then: a tick leaves that to whoever is still sending.
    async fn jump(&self) {
        let due = || self.shop.value("notifications", "SELECT max(due_at) FROM mails").as_u64();
        let Some(next) = due() else { return self.shop.tick("notifications").await };
        if let Some(wait) = Duration::from_millis(next).checked_sub(self.shop.now()) {
            self.shop.clock.advance(wait + Duration::from_millis(1));
        }
        let begun = async || {
            self.shop.tick("notifications").await;
            due() != Some(next)
        };
        eventually(PATIENCE, "the next attempt is begun", begun).await;
    }

    /// Waits until the newest mail has this status.
    async fn becomes(&self, status: &str) {
        let is_so = async || {
            self.shop.tick("notifications").await;
            self.last().0 == status
        };
        eventually(PATIENCE, &format!("the mail is {status}"), is_so).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_is_sent_once_however_often_its_event_comes_and_to_however_many_instances() {
    needs_bench!("it delivers events itself");
    let script = Script::new();
    let control = script.clone();
    // Every request meets an instance of its own.
    let world =
        World::open(|options| ShopOptions { control: Some(control), max_instance_reuse: Some(1), ..options }).await;
    script.rule(|call| match call.phase {
        Phase::Before if call.detail.contains("//notifications.spin.internal/internal/events") => {
            Verdict::Fail("cut off".into())
        }
        _ => Verdict::Proceed,
    });
    world.place().await;
    let find = "SELECT envelope FROM outbox WHERE envelope LIKE '%\"ORDER_PLACED\"%'";
    let event = world.shop.value("orders", find).as_str().unwrap().to_owned();
    let twice = format!("{event},{event}");
    for _ in 0..2 {
        let copies = (0..4).map(|copy| deliver(&world.shop, "notifications", if copy == 0 { &twice } else { &event }));
        assert!(join_all(copies).await.iter().all(|taken| *taken));
    }
    world.becomes("sent").await;
    script.clear();
    world.shop.settle_over_time().await;
    world.shop.tick_all().await;
    assert_eq!(world.shop.value("notifications", "SELECT count(*) FROM mails"), 1);
    assert_eq!((world.api.requests(), world.api.work().all().len()), (1, 1));
    let envelope: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(world.api.work().all()[0].key, envelope["eventId"].as_str().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_that_may_pass_is_waited_for_under_one_key() {
    needs_bench!("it moves the clock");
    let world = World::open(|options| options).await;
    let moods = [
        (Mood::Answering(408), "the mail API answered 408: not now"),
        (Mood::FailingAfterwards, "the mail API answered 500: not now"),
        (Mood::ResettingAfterwards, "the mail API does not answer: "),
        (Mood::Hanging, "the mail API does not answer: no answer within 300 ms"),
        (Mood::Answering(503), "the mail API answered 503: not now"),
    ];
    for (attempt, (mood, error)) in (1..).zip(moods) {
        world.api.set_mood(mood);
        match attempt {
            1 => world.place().await,
            _ => world.jump().await,
        }
        let begun =
            async || world.last().1 == attempt && world.last().2.as_str().is_some_and(|said| said.starts_with(error));
        eventually(PATIENCE, &format!("{mood:?}: {error}, not {:?}", world.last()), begun).await;
    }
    world.api.set_mood(Mood::Fine);
    // Not before it is due.
    world.shop.tick("notifications").await;
    assert_eq!(world.api.requests(), 5);
    world.jump().await;
    world.becomes("sent").await;
    assert_eq!(world.last(), (json!("sent"), json!(6), Value::Null));
    assert_eq!(world.api.work().all().len(), 1, "the API has taken it once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_that_does_not_pass_ends() {
    needs_bench!("it moves the clock");
    let world = World::open(|options| options).await;
    world.api.set_mood(Mood::FAILING);
    world.place().await;
    for attempt in 1..8 {
        world.attempted(attempt).await;
        assert_eq!(world.last().0, "pending");
        world.jump().await;
    }
    world.becomes("failed").await;
    assert_eq!(world.last().1, 8);
    // What is refused is refused at once.
    let to = json!({ "to": "refused@example.com" });
    world.api.set_mood(Mood::Fine);
    world.shop.post("/api/v1/notifications/test", &to).by(world.shop.admin().await).await.expect(202);
    world.becomes("failed").await;
    let reason = "the mail API answered 422: nobody reads refused@example.com";
    assert_eq!(world.last(), (json!("failed"), json!(1), json!(reason)));
    world.shop.clock.advance(Duration::from_secs(4 * 60 * 60));
    world.shop.tick("notifications").await;
    world.shop.settle_over_time().await;
    assert_eq!(world.api.requests(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_instance_sends_a_mail_no_other_does_and_nobody_waits() {
    needs_bench!("it makes many instances, and moves the clock");
    let world = World::open(|mut options| {
        options.variables.insert("mail_timeout_ms".into(), "30000".into());
        ShopOptions { max_instance_reuse: Some(1), ..options }
    })
    .await;
    world.api.set_mood(Mood::Hanging);
    let began = std::time::Instant::now();
    let order = world.shop.place(&world.ann, world.mug, 1, Some("tok_visa")).await;
    world.shop.wait_for(order, "paid").await;
    eventually(PATIENCE, "both are being sent", async || world.api.requests() == 2).await;
    for seconds in [0, 20, 35] {
        world.shop.clock.advance(Duration::from_secs(seconds));
        join_all((0..4).map(|_| world.shop.tick("notifications"))).await;
    }
    assert_eq!(world.api.requests(), 2, "for 55 of 60 seconds");
    assert!(began.elapsed() < Duration::from_secs(20), "nobody has waited for the mail API");
    // As if they had died.
    world.shop.clock.advance(Duration::from_secs(6));
    world.api.set_mood(Mood::Fine);
    world.shop.tick("notifications").await;
    eventually(PATIENCE, "others send them", async || world.api.work().all().len() == 2).await;
    let sent = "SELECT count(*) FROM mails WHERE status = 'sent' AND attempts = 2";
    eventually(PATIENCE, "and say so", async || world.shop.value("notifications", sent) == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_sent_as_fast_as_the_api_takes_it_and_none_is_given_up() {
    needs_bench!("it makes many instances");
    // Several instances, of which each would send as fast as it can.
    let world = World::open(|options| ShopOptions { max_instance_reuse: Some(16), ..options }).await;
    world.api.work().limit(5);
    join_all((0..24).map(|_| world.place())).await;
    let all_sent = async || {
        world.shop.tick("notifications").await;
        world.count("status = 'sent'") == 24
    };
    eventually(Duration::from_secs(60), "all are sent", all_sent).await;
    let attempts = world.shop.value("notifications", "SELECT max(attempts) FROM mails");
    assert!(attempts.as_u64().unwrap() <= 2, "{attempts}: what was too many counts as no attempt");
    assert_eq!(world.api.work().all().len(), 24);
    let refused = world.api.requests() - 24;
    assert!(refused <= 24, "they go on with care: {refused} were refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_api_wants_no_mails_no_instance_sends_any() {
    needs_bench!("it makes many instances, and moves the clock");
    // Every request meets an instance of its own.
    let world = World::open(|options| ShopOptions { max_instance_reuse: Some(1), ..options }).await;
    world.api.work().pause(600);
    world.api.set_mood(Mood::Answering(429));
    world.place().await;
    let refused = async || world.last() == (json!("pending"), json!(0), json!("the mail API answered 429: not now"));
    eventually(PATIENCE, "it has been refused", refused).await;
    assert_eq!(world.api.requests(), 1);
    world.api.set_mood(Mood::Fine);
    for _ in 0..3 {
        world.place().await;
    }
    world.shop.settle().await;
    eventually(PATIENCE, "those are given back", async || world.count("attempts = 0") == 4).await;
    world.shop.clock.advance(Duration::from_secs(580));
    join_all((0..3).map(|_| world.shop.tick("notifications"))).await;
    assert_eq!(world.api.requests(), 1, "for ten minutes");
    // Each waits up to a quarter longer than the API wants.
    world.shop.clock.advance(Duration::from_secs(180));
    let sent = async || {
        world.shop.tick("notifications").await;
        world.count("status = 'sent' AND attempts = 1") == 4
    };
    eventually(PATIENCE, "then they are sent", sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_is_sent_again_says_what_it_said_first() {
    needs_bench!("it moves the clock");
    let world = World::open(|options| options).await;
    world.api.set_mood(Mood::HangingAfterwards);
    world.place().await;
    world.attempted(1).await;
    let rename = json!({ "username": "Somebody Else" });
    world.shop.put("/api/v1/users/me", &rename).by(&world.ann).await.expect(200);
    world.shop.settle().await;
    world.api.set_mood(Mood::Fine);
    world.jump().await;
    world.becomes("sent").await;
    assert_eq!(world.last(), (json!("sent"), json!(2), Value::Null));
    assert_eq!((world.api.requests(), world.api.work().all().len()), (2, 1), "the API knows it");
    assert_eq!(world.count("letter IS NOT NULL"), 0, "and it is not kept");
    // What an admin sends once more is another letter.
    let id = world.shop.value("notifications", "SELECT id FROM mails");
    let resend = format!("/api/v1/notifications/{id}/resend");
    world.shop.post(resend, &json!({})).by(world.shop.admin().await).await.expect(202);
    let again = world.api.wait_for(2).await.remove(1);
    assert!(again.text("text").starts_with("Hello Somebody Else,"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_the_api_has_taken_with_another_letter_is_not_used_for_ever() {
    needs_bench!("it moves the clock");
    let world = World::open(|options| options).await;
    world.api.set_mood(Mood::HangingAfterwards);
    world.place().await;
    world.attempted(1).await;
    world.api.work().alter();
    world.api.set_mood(Mood::Fine);
    world.jump().await;
    world.becomes("sent").await;
    let said = "the mail API answered 409: the key was used with another mail";
    assert_eq!(world.last(), (json!("sent"), json!(2), json!(said)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_loses_no_mail() {
    needs_bench!("it moves the clock");
    let world = World::open(|options| options).await;
    world.api.set_mood(Mood::Answering(401));
    world.place().await;
    let refused = async |count: usize, status: u16| {
        let said = json!(format!("the mail API answered {status}: not now"));
        let back = async || world.api.requests() == count && world.last() == (json!("pending"), json!(0), said.clone());
        eventually(PATIENCE, &format!("{count} times"), back).await;
    };
    refused(1, 401).await;
    world.api.set_mood(Mood::Answering(403));
    for count in 2..12 {
        world.jump().await;
        refused(count, 403).await;
    }
    world.api.set_mood(Mood::Fine);
    world.jump().await;
    world.becomes("sent").await;
    assert_eq!(world.last(), (json!("sent"), json!(1), Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_was_sent_is_not_sent_again_because_that_could_not_be_noted() {
    needs_bench!("it fails statements");
    let script = Script::new();
    let control = script.clone();
    let world = World::open(|options| ShopOptions { control: Some(control), ..options }).await;
    let failures = AtomicUsize::new(0);
    script.rule(move |call| {
        let notes = call.phase == Phase::Before && call.detail.contains("SET status = 'sent'");
        if notes && failures.fetch_add(1, Ordering::SeqCst) < 3 {
            return Verdict::Fail("database is full".into());
        }
        Verdict::Proceed
    });
    world.place().await;
    world.becomes("sent").await;
    assert_eq!((world.api.requests(), world.last().1), (1, json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_kills_whoever_sends_it_ends_and_so_does_one_whose_key_is_forgotten() {
    needs_bench!("it kills instances, and moves the clock");
    let script = Script::new();
    let control = script.clone();
    let world = World::open(|options| ShopOptions { control: Some(control), ..options }).await;
    let kills = Arc::new(AtomicUsize::new(0));
    let counted = kills.clone();
    script.rule(move |call| {
        if call.phase != Phase::Before || !call.detail.ends_with("/emails") {
            return Verdict::Proceed;
        }
        counted.fetch_add(1, Ordering::SeqCst);
        Verdict::Kill
    });
    world.place().await;
    // One after the other: time goes on when whoever has begun it is dead.
    let killed = async |times: usize| {
        let ended = async || kills.load(Ordering::SeqCst) >= times || world.last().0 == "failed";
        eventually(PATIENCE, &format!("{times} are killed, or it is given up"), ended).await;
    };
    killed(1).await;
    let over = async || {
        let before = kills.load(Ordering::SeqCst);
        world.jump().await;
        killed(before + 1).await;
        world.last().0 == "failed"
    };
    eventually(PATIENCE, "it is given up", over).await;
    assert_eq!(kills.load(Ordering::SeqCst), 8);
    assert_eq!(world.last(), (json!("failed"), json!(8), json!("nobody knows how its last attempt has ended")));
    script.clear();

    world.api.set_mood(Mood::ResettingAfterwards);
    world.place().await;
    world.attempted(1).await;
    world.shop.clock.advance(Duration::from_secs(23 * 60 * 60));
    world.api.set_mood(Mood::Fine);
    world.shop.tick("notifications").await;
    world.becomes("failed").await;
    assert_eq!(world.last().2, "it could not be sent within 23 hours");
    assert_eq!((world.api.requests(), world.api.work().all().len()), (1, 1), "nobody has sent it again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_more_mails_in_an_hour_than_they_should() {
    needs_bench!("it moves the clock");
    let limit = |mut options: ShopOptions| {
        options.variables.insert("mails_per_hour".into(), "3".into());
        options
    };
    let world = World::open(limit).await;
    for _ in 0..5 {
        world.place().await;
    }
    let bob = world.shop.customer("bob").await;
    world.shop.place(&bob, world.mug, 1, None).await;
    eventually(PATIENCE, "all have ended", async || world.count("status <> 'pending'") == 6).await;
    assert_eq!((world.count("status = 'sent'"), world.api.requests()), (4, 4));
    let reason = "last_error = 'its reader has had 3 mails within an hour'";
    assert_eq!(world.count(&format!("status = 'failed' AND {reason}")), 2);
    // An admin's word counts more.
    let id = world.shop.value("notifications", "SELECT id FROM mails WHERE status = 'failed' LIMIT 1");
    let resend = format!("/api/v1/notifications/{id}/resend");
    world.shop.post(resend, &json!({})).by(world.shop.admin().await).await.expect(202);
    world.api.wait_for(5).await;
    // A code is not one of them, and the next hour is another one.
    let forgot = json!({ "email": world.ann.email });
    world.shop.post("/api/v1/auth/forgot-password", &forgot).await.expect(202);
    world.api.wait_for(6).await;
    world.shop.clock.advance(Duration::from_secs(60 * 60));
    world.place().await;
    world.api.wait_for(7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_gone_gets_no_mail_that_waited_and_none_that_comes_later() {
    needs_bench!("it moves the clock, and delivers events itself");
    let world = World::open(|options| options).await;
    let shop = &world.shop;
    world.api.set_mood(Mood::FAILING);
    world.place().await;
    world.attempted(1).await;
    let find = "SELECT envelope FROM outbox WHERE envelope LIKE '%\"ORDER_PLACED\"%'";
    let event = shop.value("orders", find).as_str().unwrap().to_owned();
    shop.delete(format!("/api/v1/users/{}", world.ann.id)).by(shop.admin().await).await.expect(204);
    shop.settle().await;
    world.api.set_mood(Mood::Fine);
    shop.clock.advance(Duration::from_secs(60));
    shop.tick("notifications").await;
    let later = |number: u32| {
        let id = serde_json::from_str::<Value>(&event).unwrap()["eventId"].as_str().unwrap().to_owned();
        event.replace(&id, &format!("01890000-0000-7000-8000-{number:012}"))
    };
    assert!(deliver(shop, "notifications", &later(1)).await);
    let left = || {
        let of = |table: &str, id: &str| {
            let rows = shop.query("notifications", &format!("SELECT * FROM {table} WHERE {id} = {}", world.ann.id));
            rows.len()
        };
        of("mails", "user_id") + of("users", "id")
    };
    assert_eq!(left(), 0);
    // Nobody remembers any more that there was an account: accounts know.
    shop.clock.advance(Duration::from_secs(25 * 60 * 60));
    shop.tick("notifications").await;
    assert!(deliver(shop, "notifications", &later(2)).await);
    let gone = async || left() == 0;
    eventually(PATIENCE, "accounts say that nobody reads it", gone).await;
    let old = json!({ "eventId": "01890000-0000-7000-8000-000000000009", "eventType": "USER_UPDATED", "eventVersion": 1,
        "occurredAt": "2026-01-01T00:00:00Z", "producer": "accounts", "subject": format!("user/{}", world.ann.id),
        "data": { "id": world.ann.id, "name": "ann", "email": world.ann.email, "role": "user", "accountStatus": "active" } });
    assert!(deliver(shop, "notifications", &old.to_string()).await);
    assert_eq!(left(), 0, "old news make nobody known again");
    assert_eq!((world.api.requests(), world.api.work().all().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_overtakes_its_account_finds_its_customer() {
    needs_bench!("it cuts off components, and moves the clock");
    let script = Script::new();
    let control = script.clone();
    let world = World::open(|options| ShopOptions { control: Some(control), ..options }).await;
    script.rule(|call| match call.phase {
        Phase::Before if call.component == "accounts" && call.detail.contains("//notifications.spin.internal") => {
            Verdict::Fail("cut off".into())
        }
        _ => Verdict::Proceed,
    });
    let bob = world.shop.customer("bob").await;
    world.shop.place(&bob, world.mug, 1, None).await;
    let mail = world.api.wait_for(1).await.remove(0);
    assert_eq!(mail.to(), bob.email);
    assert!(mail.text("text").starts_with("Hello bob,"), "{mail:?}");
    world.becomes("sent").await;

    script.rule(|call| match call.phase {
        Phase::Before
            if call.component == "accounts" && call.detail.contains("//notifications.spin.internal")
                || call.detail.contains("//accounts.spin.internal/internal/users/") =>
        {
            Verdict::Fail("cut off".into())
        }
        _ => Verdict::Proceed,
    });
    let eve = world.shop.customer("eve").await;
    world.shop.place(&eve, world.mug, 1, None).await;
    let waits = async || world.last().2.as_str().is_some_and(|why| why.contains("accounts is not available"));
    eventually(PATIENCE, "it waits for accounts", waits).await;
    script.clear();
    world.jump().await;
    assert_eq!(world.api.wait_for(2).await[1].to(), eve.email);
}
