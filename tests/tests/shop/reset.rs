//! A forgotten password: the code, the mail that carries it, and what it is good for.

use std::time::Duration;

use crate::support::{assert_invalid, assert_problem};
use bodega_host::{Phase, Verdict};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Answer, Customer, Script, Shop, ShopOptions, eventually, is_database, needs_bench};

const NEW: &str = "a better horse";
const PATIENCE: Duration = Duration::from_secs(20);

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

async fn forgot(shop: &Shop, email: &str) -> Answer {
    shop.post("/api/v1/auth/forgot-password", &json!({ "email": email })).await
}

async fn reset(shop: &Shop, email: &str, code: &str, new: &str) -> Answer {
    shop.post("/api/v1/auth/reset-password", &json!({ "email": email, "code": code, "newPassword": new })).await
}

async fn log_in(shop: &Shop, email: &str, password: &str) -> Answer {
    shop.post("/api/v1/auth/login", &json!({ "email": email, "password": password })).await
}

/// What the mails to an address say, the oldest first.
fn mails(shop: &Shop, email: &str) -> Vec<Value> {
    let rows = shop.query("notifications", &format!("SELECT data FROM mails WHERE recipient = '{email}' ORDER BY id"));
    rows.iter().map(|row| serde_json::from_str(row[0].as_str().unwrap()).unwrap()).collect()
}

/// The code of the `count`th mail of the shop, once it has been written: to this address.
async fn code(shop: &Shop, email: &str, count: i64) -> String {
    // Those before it may be gone.
    let written = || shop.value("notifications", "SELECT max(id) FROM mails").as_i64();
    eventually(PATIENCE, "the mail is written", async || written() >= Some(count)).await;
    mails(shop, email).last().unwrap()["code"].as_str().unwrap().to_owned()
}

#[track_caller]
fn assert_refused(answer: &Answer, what: &str) {
    assert_invalid(answer, &["code"], what);
}

#[tokio::test]
async fn a_code_from_the_mail_gives_a_new_password_once_and_signs_out_everywhere() {
    let (shop, ann) = open().await;
    let old = log_in(&shop, &ann.email, &ann.password).await.expect(200);
    forgot(&shop, " ANN@example.com").await.expect(202);
    let code = code(&shop, &ann.email, 1).await;
    assert_refused(&reset(&shop, "bob@example.com", &code, NEW).await, "for another address");
    for weak in ["short 1", "12345678", "ann@example.com"] {
        assert_invalid(&reset(&shop, &ann.email, &code, weak).await, &["newPassword"], weak);
    }
    let typed = code.to_lowercase().replace('-', " ");
    let answer = reset(&shop, "Ann@Example.com", &typed, NEW).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    assert_refused(&reset(&shop, &ann.email, &code, "one more horse").await, "a second time");
    assert_eq!(log_in(&shop, &ann.email, &ann.password).await.status, 401);
    log_in(&shop, &ann.email, NEW).await.expect(200);
    let refresh = json!({ "refreshToken": old["refreshToken"] });
    assert_eq!(shop.post("/api/v1/auth/refresh", &refresh).await.status, 401);
    assert_eq!(shop.get("/api/v1/users/me").bearer(old["accessToken"].as_str().unwrap()).await.status, 401);
}

#[tokio::test]
async fn whoever_knows_the_password_and_changes_it_ends_a_code() {
    let (shop, ann) = open().await;
    forgot(&shop, &ann.email).await.expect(202);
    let code = code(&shop, &ann.email, 1).await;
    let change = json!({ "currentPassword": ann.password, "newPassword": NEW });
    assert_eq!(shop.put("/api/v1/users/me/password", &change).by(&ann).await.status, 204);
    assert_refused(&reset(&shop, &ann.email, &code, "one more horse").await, "after the change");
    log_in(&shop, &ann.email, NEW).await.expect(200);
}

#[tokio::test]
async fn the_answer_does_not_say_whether_there_is_an_account() {
    needs_bench!("it writes into a database that a server has open, and looks at statements");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
    shop.tamper("accounts", &format!("UPDATE users SET status = 'suspended' WHERE id = {}", bob.id));
    let work = async |email: &str| {
        script.record();
        let answer = forgot(&shop, email).await;
        let seen = script.recorded();
        // Not what housekeeping does meanwhile.
        let own = |sql: &str| sql.contains("u.email = $1") || sql.contains("INSERT INTO reset_codes");
        let seen = seen.into_iter().filter(|call| is_database(call.interface) && own(&call.detail));
        let statements: Vec<_> = seen.map(|call| call.detail).collect();
        assert_eq!(statements.len(), 2, "{statements:?}");
        (answer, statements)
    };
    // The first one opens connections.
    work("warm.up@example.com").await;
    let (known, statements) = work(&ann.email).await;
    assert_eq!(known.status, 202, "{}", known.text);
    for email in ["nobody@example.com", &bob.email, "no address at all"] {
        let (answer, same) = work(email).await;
        assert_eq!((answer.status, &answer.text), (known.status, &known.text), "{email}");
        assert_eq!(same, statements, "{email}");
        // Neither do wrong codes.
        for _ in 0..6 {
            let wrong = reset(&shop, email, "00000-00000", NEW).await;
            assert_eq!(wrong.text, reset(&shop, &ann.email, "00000-00000", NEW).await.text, "{email}");
        }
    }
    code(&shop, &ann.email, 1).await;
    shop.settle().await;
    assert_eq!(shop.value("notifications", "SELECT count(*) FROM mails"), 1, "nobody else has got one");
}

#[tokio::test]
async fn a_code_ends_after_ten_minutes_and_after_five_wrong_ones() {
    needs_bench!("it moves the clock");
    let (shop, ann) = open().await;
    forgot(&shop, &ann.email).await.expect(202);
    let first = code(&shop, &ann.email, 1).await;
    shop.clock.advance(Duration::from_secs(9 * 60));
    for _ in 0..4 {
        assert_refused(&reset(&shop, &ann.email, "00000-00000", NEW).await, "wrong");
    }
    shop.clock.advance(Duration::from_secs(61));
    assert_refused(&reset(&shop, &ann.email, &first, NEW).await, "too late");

    forgot(&shop, &ann.email).await.expect(202);
    let second = code(&shop, &ann.email, 2).await;
    assert_refused(&reset(&shop, &ann.email, &first, NEW).await, "the one before");
    for _ in 0..4 {
        assert_refused(&reset(&shop, &ann.email, "00000-00000", NEW).await, "wrong");
    }
    assert_refused(&reset(&shop, &ann.email, &second, NEW).await, "after five wrong ones");
    log_in(&shop, &ann.email, &ann.password).await.expect(200);

    // Another one is sent after a minute, and not before.
    forgot(&shop, &ann.email).await.expect(202);
    shop.clock.advance(Duration::from_secs(61));
    forgot(&shop, &ann.email).await.expect(202);
    let third = code(&shop, &ann.email, 3).await;
    reset(&shop, &ann.email, &third, NEW).await.expect(204);
    shop.settle().await;
    assert_eq!(mails(&shop, &ann.email).len(), 2, "the first one has expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_many_times_at_once_gets_one_mail() {
    let (shop, ann) = open().await;
    for answer in join_all((0..10).map(|_| forgot(&shop, &ann.email))).await {
        answer.expect(202);
    }
    let code = code(&shop, &ann.email, 1).await;
    shop.settle().await;
    assert_eq!(mails(&shop, &ann.email).len(), 1);
    reset(&shop, &ann.email, &code, NEW).await.expect(204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_guesses_at_once_five_are_tried() {
    let (shop, ann) = open().await;
    forgot(&shop, &ann.email).await.expect(202);
    let right = code(&shop, &ann.email, 1).await;
    let guesses = join_all((0..30).map(|guess| {
        let (shop, email) = (&shop, &ann.email);
        async move { reset(shop, email, &format!("00000-{guess:05}"), NEW).await }
    }));
    for answer in guesses.await {
        assert_refused(&answer, "a guess");
    }
    assert_eq!(shop.value("accounts", "SELECT tries FROM reset_codes"), 5);
    assert_refused(&reset(&shop, &ann.email, &right, NEW).await, "after them");
    log_in(&shop, &ann.email, &ann.password).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_comes_many_times_at_once_is_good_for_one() {
    let (shop, ann) = open().await;
    forgot(&shop, &ann.email).await.expect(202);
    let right = code(&shop, &ann.email, 1).await;
    let resets = (0..8).map(|number| {
        let (shop, email, right) = (&shop, &ann.email, &right);
        async move { (number, reset(shop, email, right, &format!("horse number {number}")).await) }
    });
    let answers = join_all(resets).await;
    let done: Vec<_> = answers.iter().filter(|(_, answer)| answer.status == 204).map(|(number, _)| number).collect();
    assert_eq!(done.len(), 1, "{answers:?}");
    log_in(&shop, &ann.email, &format!("horse number {}", done[0])).await.expect(200);
}

#[tokio::test]
async fn a_mail_is_handed_over_again_until_it_is_there_and_written_once() {
    needs_bench!("it loses calls between components");
    for phase in [Phase::Before, Phase::After] {
        let script = Script::new();
        let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
        let ann = shop.customer("ann").await;
        let left = std::sync::atomic::AtomicUsize::new(2);
        script.rule(move |call| {
            let lost = call.phase == phase && call.component == "accounts" && call.detail.contains("/internal/mails");
            let spend = |left: usize| left.checked_sub(1);
            let order = std::sync::atomic::Ordering::SeqCst;
            if lost && left.fetch_update(order, order, spend).is_ok() {
                Verdict::Fail("lost".into())
            } else {
                Verdict::Proceed
            }
        });
        forgot(&shop, &ann.email).await.expect(202);
        let code = code(&shop, &ann.email, 1).await;
        reset(&shop, &ann.email, &code, NEW).await.expect(204);
        // Time for the third call.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(mails(&shop, &ann.email).len(), 1, "{phase:?}");
    }
}

#[tokio::test]
async fn a_code_whose_mail_was_lost_with_its_instance_is_replaced_by_the_next() {
    needs_bench!("it kills an instance and moves the clock");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    script.rule(|call| {
        let here =
            call.phase == Phase::Before && call.component == "accounts" && call.detail.contains("/internal/mails");
        if here { Verdict::Kill } else { Verdict::Proceed }
    });
    _ = shop.post("/api/v1/auth/forgot-password", &json!({ "email": ann.email })).send().await;
    eventually(PATIENCE, "the code is there", async || shop.value("accounts", "SELECT count(*) FROM reset_codes") == 1)
        .await;
    shop.settle().await;
    script.clear();
    assert!(mails(&shop, &ann.email).is_empty());
    shop.clock.advance(Duration::from_secs(61));
    forgot(&shop, &ann.email).await.expect(202);
    let code = code(&shop, &ann.email, 1).await;
    reset(&shop, &ann.email, &code, NEW).await.expect(204);
}

#[tokio::test]
async fn a_reset_ends_the_wait_that_others_have_brought_about() {
    let (shop, ann) = open().await;
    for _ in 0..5 {
        assert_eq!(log_in(&shop, &ann.email, "not the password").await.status, 401);
    }
    assert_eq!(log_in(&shop, &ann.email, &ann.password).await.status, 429);
    forgot(&shop, &ann.email).await.expect(202);
    let code = code(&shop, &ann.email, 1).await;
    reset(&shop, &ann.email, &code, NEW).await.expect(204);
    log_in(&shop, &ann.email, NEW).await.expect(200);
}

#[tokio::test]
async fn nobody_reads_a_code_but_the_one_who_gets_the_mail() {
    needs_bench!("it moves the clock");
    let (shop, ann) = open().await;
    forgot(&shop, &ann.email).await.expect(202);
    let secret = code(&shop, &ann.email, 1).await;
    let stored = shop.query("accounts", "SELECT * FROM reset_codes");
    assert!(!format!("{stored:?}").contains(&secret), "only its hash is kept: {stored:?}");
    let outbox = shop.query("accounts", "SELECT envelope FROM outbox");
    assert!(!format!("{outbox:?}").contains(&secret));

    let bob = shop.customer("bob").await;
    let sent = async || shop.value("notifications", "SELECT status FROM mails") == "sent";
    eventually(PATIENCE, "the mail is sent", sent).await;
    assert_eq!(shop.get("/api/v1/notifications").by(&bob).await.expect(200), json!({ "items": [] }));
    for reader in [&ann, shop.admin().await] {
        let list = shop.get("/api/v1/notifications").by(reader).await;
        assert!(!list.text.contains(&secret), "{}", list.text);
        let mail = list.expect(200)["items"][0].clone();
        assert_eq!((&mail["kind"], &mail["to"]), (&json!("password-reset"), &json!(ann.email)));
        let path = format!("/api/v1/notifications/{}", mail["id"]);
        let one = shop.get(path.as_str()).by(reader).await;
        assert!(!one.text.contains(&secret), "{}", one.text);
        assert_eq!(one.expect(200), mail);
        assert_problem(&shop.get(path.as_str()).by(&bob).await, 404, "not-found", "somebody else's");
    }
    shop.clock.advance(Duration::from_secs(9 * 60));
    shop.tick("notifications").await;
    assert_eq!(mails(&shop, &ann.email)[0]["code"], secret.as_str());
    shop.clock.advance(Duration::from_secs(61));
    shop.tick("notifications").await;
    assert!(mails(&shop, &ann.email).is_empty(), "what has expired is removed");
    assert_eq!(shop.get("/api/v1/notifications").by(&ann).await.expect(200), json!({ "items": [] }));
}

#[tokio::test]
async fn mails_that_are_none_are_refused() {
    needs_bench!("it calls a component as another one would");
    let (shop, ann) = open().await;
    let good = json!({ "id": "01890000-0000-7000-8000-000000000000", "kind": "password-reset", "userId": ann.id,
        "to": ann.email, "code": "x", "expiresAt": "2100-01-01T00:00:00Z" });
    for (field, value) in [("id", json!("x")), ("kind", json!("poem")), ("to", json!("")), ("expiresAt", json!(5))] {
        let mut bad = good.clone();
        bad[field] = value;
        let answer = shop.internal("notifications", Method::POST, "/internal/mails", Some(&bad)).await;
        assert_eq!(answer.status, 422, "{field}: {}", answer.text);
    }
    let take = async || shop.internal("notifications", Method::POST, "/internal/mails", Some(&good)).await.expect(201);
    assert_eq!(take().await, take().await);
    assert_eq!(shop.value("notifications", "SELECT count(*) FROM mails"), 1);
    // Nothing is kept for ever, whatever the sender says.
    shop.clock.advance(Duration::from_secs(29 * 24 * 60 * 60));
    shop.tick("notifications").await;
    assert_eq!(shop.value("notifications", "SELECT count(*) FROM mails"), 1);
    shop.clock.advance(Duration::from_secs(24 * 60 * 60));
    shop.tick("notifications").await;
    assert_eq!(shop.value("notifications", "SELECT count(*) FROM mails"), 0);
}

fn mail_to(customer: &Customer, number: usize) -> Value {
    json!({ "id": format!("01890000-0000-7000-8000-{number:012}"), "kind": "password-reset", "userId": customer.id,
        "to": customer.email, "code": "x", "expiresAt": "2100-01-01T00:00:00Z" })
}

#[tokio::test]
async fn a_mail_to_an_account_that_is_deleted_is_gone_whichever_comes_first() {
    needs_bench!("it calls a component as another one would, and moves the clock");
    let (shop, ann) = open().await;
    let bob = shop.customer("bob").await;
    let take = async |mail: Value| {
        shop.internal("notifications", Method::POST, "/internal/mails", Some(&mail)).await.expect(201)
    };
    take(mail_to(&ann, 1)).await;
    take(mail_to(&bob, 2)).await;
    shop.delete(format!("/api/v1/users/{}", ann.id)).by(shop.admin().await).await.expect(204);
    shop.settle().await;
    let here = || shop.query("notifications", "SELECT user_id FROM mails");
    assert_eq!(here(), [[json!(bob.id)]], "the one that was there");
    for again in [1, 3, 3] {
        assert_eq!(take(mail_to(&ann, again)).await, json!({}), "one that comes later is taken, and not kept");
    }
    assert_eq!(here(), [[json!(bob.id)]]);
    let gone = || shop.value("notifications", "SELECT count(*) FROM forgotten_users");
    assert_eq!(gone(), 1);
    shop.clock.advance(Duration::from_secs(25 * 60 * 60));
    shop.tick("notifications").await;
    assert_eq!(gone(), 0, "nor is it remembered for ever who has gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_deleted_right_after_it_forgot_its_password_leaves_no_address() {
    needs_bench!("it holds up calls between components");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    let admin = shop.admin().await;
    let arrived = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = arrived.clone();
    script.rule(move |call| {
        if call.component != "accounts" || !call.detail.contains("/internal/mails") {
            return Verdict::Proceed;
        }
        match call.phase {
            Phase::Before => Verdict::Delay(Duration::from_secs(2)),
            Phase::After => {
                seen.store(true, std::sync::atomic::Ordering::SeqCst);
                Verdict::Proceed
            }
        }
    });
    forgot(&shop, &ann.email).await.expect(202);
    shop.delete(format!("/api/v1/users/{}", ann.id)).by(admin).await.expect(204);
    let told = "SELECT count(*) FROM forgotten_users";
    eventually(PATIENCE, "notifications know", async || shop.value("notifications", told) == 1).await;
    assert!(!arrived.load(std::sync::atomic::Ordering::SeqCst), "the mail is still on its way");
    let arrives = async || arrived.load(std::sync::atomic::Ordering::SeqCst);
    eventually(PATIENCE, "the mail arrives", arrives).await;
    shop.settle().await;
    let left = ["mails", "forgotten_users"].map(|table| shop.query("notifications", &format!("SELECT * FROM {table}")));
    assert!(!format!("{left:?}").contains(&ann.email), "{left:?}");
}
