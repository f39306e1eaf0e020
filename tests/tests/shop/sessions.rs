//! Being signed in: where, for how long, and how it ends. Proving by a password who one is, and failing at it.

use std::time::{Duration, Instant};

use crate::support::{assert_invalid, assert_problem};
use futures::future::{join, join_all};
use serde_json::{Value, json};
use shop_tests::{Answer, Customer, Shop, ShopOptions, needs_bench};

const LOGIN: &str = "/api/v1/auth/login";
const ME: &str = "/api/v1/users/me";
const SESSIONS: &str = "/api/v1/users/me/sessions";
const PASSWORD: &str = "/api/v1/users/me/password";

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

/// A sign-in: its tokens.
struct Tokens {
    access: String,
    refresh: String,
}

fn tokens(body: &Value) -> Tokens {
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    Tokens { access: text("accessToken"), refresh: text("refreshToken") }
}

async fn log_in(shop: &Shop, email: &str, password: &str) -> Answer {
    shop.post(LOGIN, &json!({ "email": email, "password": password })).await
}

async fn sign_in(shop: &Shop, ann: &Customer) -> Tokens {
    tokens(&log_in(shop, &ann.email, &ann.password).await.expect(200))
}

/// Whether the sign-in goes on: both of its tokens must agree.
async fn goes_on(shop: &Shop, tokens: &mut Tokens) -> bool {
    let access = shop.get(ME).bearer(&tokens.access).await.status;
    let refreshed = shop.post("/api/v1/auth/refresh", &json!({ "refreshToken": tokens.refresh })).await;
    assert_eq!(access, refreshed.status, "{}", refreshed.text);
    if refreshed.status == 200 {
        *tokens = self::tokens(&refreshed.body);
    }
    access == 200
}

#[tokio::test]
async fn logging_out_ends_this_sign_in_and_no_other() {
    let (shop, ann) = open().await;
    let mut others = sign_in(&shop, &ann).await;
    let out = |body: Value| shop.post("/api/v1/auth/logout", &body);
    let mut by_access = sign_in(&shop, &ann).await;
    out(json!({})).bearer(&by_access.access).await.expect(204);
    assert!(!goes_on(&shop, &mut by_access).await);
    // Without a body; and once more, which is no news.
    let mut bare = sign_in(&shop, &ann).await;
    for _ in 0..2 {
        shop.request(reqwest::Method::POST, "/api/v1/auth/logout").bearer(&bare.access).await.expect(204);
    }
    assert!(!goes_on(&shop, &mut bare).await);
    let mut by_refresh = sign_in(&shop, &ann).await;
    for _ in 0..2 {
        out(json!({ "refreshToken": by_refresh.refresh })).await.expect(204);
    }
    assert!(!goes_on(&shop, &mut by_refresh).await);
    // The refresh token says which, whatever became of the access token.
    let mut expired = sign_in(&shop, &ann).await;
    out(json!({ "refreshToken": expired.refresh })).bearer("made up").await.expect(204);
    assert!(!goes_on(&shop, &mut expired).await);
    out(json!({ "refreshToken": "made up" })).await.expect(204);
    assert_problem(&out(json!({})).await, 401, "unauthenticated", "nothing to end");
    assert!(goes_on(&shop, &mut others).await);

    for everywhere in [shop.post("/api/v1/auth/logout-all", &json!({})), shop.delete(SESSIONS)] {
        let (mut here, mut there) = (sign_in(&shop, &ann).await, sign_in(&shop, &ann).await);
        everywhere.bearer(&here.access).await.expect(204);
        assert!(!goes_on(&shop, &mut here).await && !goes_on(&shop, &mut there).await);
    }
    assert!(!goes_on(&shop, &mut others).await);
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_by_their_owner() {
    let (shop, ann) = open().await;
    let login = json!({ "email": ann.email, "password": ann.password });
    let mut phone = tokens(&shop.post(LOGIN, &login).header("user-agent", "Phone/1.0").await.expect(200));
    let mut laptop = tokens(&shop.post(LOGIN, &login).header("user-agent", "Laptop/2.0").await.expect(200));
    assert!(goes_on(&shop, &mut phone).await);
    let list = |token: &str| shop.get(SESSIONS).bearer(token);
    let sessions = list(&laptop.access).await.expect(200);
    assert!(!sessions.to_string().contains(&phone.refresh), "{sessions}");
    let sessions = sessions["items"].as_array().unwrap().clone();
    let agents: Vec<_> = sessions.iter().map(|session| session["userAgent"].clone()).collect();
    assert_eq!(agents[..2], [json!("Laptop/2.0"), json!("Phone/1.0")], "the newest first");
    let current: Vec<_> = sessions.iter().map(|session| session["current"] == true).collect();
    assert_eq!(current, [true, false, false], "and the one of the harness");
    assert!(sessions[1]["lastUsedAt"].as_str() > sessions[1]["createdAt"].as_str(), "{sessions:?}");

    let page = shop.get(format!("{SESSIONS}?limit=1")).bearer(&laptop.access).await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().as_slice(), &sessions[..1]);
    let next = format!("{SESSIONS}?limit=1&cursor={}", page["nextCursor"].as_str().unwrap());
    assert_eq!(shop.get(next).bearer(&laptop.access).await.expect(200)["items"][0], sessions[1]);

    let at = format!("{SESSIONS}/{}", sessions[1]["id"].as_str().unwrap());
    let bob = shop.customer("bob").await;
    assert_problem(&shop.delete(at.as_str()).by(&bob).await, 404, "not-found", "somebody else's");
    assert!(goes_on(&shop, &mut phone).await);
    for _ in 0..2 {
        shop.delete(at.as_str()).bearer(&laptop.access).await.expect(204);
    }
    assert!(!goes_on(&shop, &mut phone).await && goes_on(&shop, &mut laptop).await);
    assert_eq!(list(&laptop.access).await.expect(200)["items"].as_array().unwrap().len(), 2);
    assert_problem(&shop.delete(format!("{SESSIONS}/x")).bearer(&laptop.access).await, 404, "not-found", "none");
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_signs_out_everywhere_else() {
    let (shop, ann) = open().await;
    let (mut here, mut there) = (sign_in(&shop, &ann).await, sign_in(&shop, &ann).await);
    let change = |current: &str, new: &str| {
        let body = json!({ "currentPassword": current, "newPassword": new });
        shop.post(PASSWORD, &body).bearer(&here.access)
    };
    assert_invalid(&change("not the password", "a better horse").await, &["currentPassword"], "a wrong one");
    for weak in ["short 1", "12345678", "Password1", "ann@example.com", "aaaaaaaaaaaa", &ann.password] {
        assert_invalid(&change(&ann.password, weak).await, &["newPassword"], weak);
    }
    let missing = shop.post(PASSWORD, &json!({ "newPassword": "a better horse" })).bearer(&here.access).await;
    assert_invalid(&missing, &["currentPassword"], "without the old one");
    let answer = change(&ann.password, "a better horse").await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    assert!(goes_on(&shop, &mut here).await && !goes_on(&shop, &mut there).await);
    assert_eq!(log_in(&shop, &ann.email, &ann.password).await.status, 401);
    log_in(&shop, &ann.email, "a better horse").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_new_passwords_at_once_one_counts() {
    let (shop, ann) = open().await;
    let here = sign_in(&shop, &ann).await;
    let change = async |new: &str| {
        let body = json!({ "currentPassword": ann.password, "newPassword": new });
        shop.post(PASSWORD, &body).bearer(&here.access).await.status.as_u16()
    };
    let (one, other) = join(change("the first horse"), change("the second horse")).await;
    let works = async |password: &str| log_in(&shop, &ann.email, password).await.status == 200;
    let (first, second) = (works("the first horse").await, works("the second horse").await);
    assert_eq!((one == 204, other == 204), (first, second), "{one} {other}");
    assert!(first != second);
    assert!([204, 422].contains(&one) && [204, 422].contains(&other), "{one} {other}");
}

/// What failing again and again is answered, as status and code.
async fn failures(shop: &Shop, email: &str, times: usize) -> Vec<(u16, Value)> {
    let mut answers = Vec::new();
    for _ in 0..times {
        let answer = log_in(shop, email, "not the password").await;
        answers.push((answer.status.as_u16(), answer.body["code"].clone()));
    }
    answers
}

fn wait(answer: &Answer) -> u64 {
    assert_problem(answer, 429, "too-many-requests", "too early");
    answer.header("retry-after").unwrap().parse().unwrap()
}

#[tokio::test]
async fn who_fails_waits_longer_each_time_whether_or_not_there_is_an_account() {
    needs_bench!("it moves the clock");
    let (shop, ann) = open().await;
    let refused = (401, json!("unauthenticated"));
    for email in ["nobody@example.com", "no address at all", &ann.email] {
        assert_eq!(failures(&shop, email, 5).await, vec![refused.clone(); 5], "{email}");
        for expected in [2, 4, 8, 16, 32, 60, 60] {
            // Nobody learns whether the password is right, and trying on does not prolong the wait.
            for password in [ann.password.as_str(), "not the password"] {
                let waits = wait(&log_in(&shop, &email.to_uppercase(), password).await);
                assert!((1..=expected).contains(&waits), "{email}: {waits} of {expected}");
            }
            shop.clock.advance(Duration::from_secs(expected));
            assert_eq!(failures(&shop, email, 1).await, vec![refused.clone(); 1], "{email} after {expected} s");
        }
    }
    // The owner gets in as soon as the wait is over, and what was is forgotten.
    shop.clock.advance(Duration::from_secs(60));
    log_in(&shop, &ann.email, &ann.password).await.expect(200);
    assert_eq!(failures(&shop, &ann.email, 5).await, vec![refused.clone(); 5]);
    // Others are not concerned.
    let bob = shop.customer("bob").await;
    log_in(&shop, &bob.email, &bob.password).await.expect(200);
    shop.clock.advance(Duration::from_secs(25 * 60 * 60));
    shop.settle().await;
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM failures"), 0, "forgotten after a day");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_guesses_at_once_no_more_are_answered_than_of_many_in_a_row() {
    // Several instances, which share nothing but the database.
    let shop = Shop::start(ShopOptions { max_instance_reuse: Some(4), ..ShopOptions::default() }).await;
    let ann = shop.customer("ann").await;
    let start = Instant::now();
    let mut guesses: Vec<_> = (0..14).map(|_| log_in(&shop, &ann.email, "not the password")).collect();
    guesses.push(log_in(&shop, &ann.email, "neither this"));
    let answers = join_all(guesses).await;
    let elapsed = start.elapsed().as_secs();
    let answered = answers.iter().filter(|answer| answer.status == 401).count();
    assert!(answers.iter().all(|answer| [401, 429, 503].contains(&answer.status.as_u16())));
    // Waits of 2, 4 and 8 seconds that may have ended meanwhile on a slow machine.
    let later = [2, 2 + 4, 2 + 4 + 8].into_iter().filter(|end| elapsed >= *end).count();
    assert!(answered <= 5 + later, "{answered} guesses were answered within {elapsed} s");
    assert_eq!(shop.value("accounts", "SELECT count FROM failures"), answered, "each of them was counted");
}

#[tokio::test]
async fn a_stolen_access_token_is_no_way_to_guess_the_password() {
    let (shop, ann) = open().await;
    let here = sign_in(&shop, &ann).await;
    let guess = |password: &str| {
        let body = json!({ "currentPassword": password, "newPassword": "a better horse" });
        shop.post(PASSWORD, &body).bearer(&here.access)
    };
    for _ in 0..3 {
        assert_invalid(&guess("not the password").await, &["currentPassword"], "a guess");
    }
    for _ in 0..2 {
        let body = json!({ "password": "not the password" });
        assert_invalid(&shop.delete(ME).json(&body).bearer(&here.access).await, &["password"], "a guess");
    }
    wait(&guess("not the password").await);
    wait(&guess(&ann.password).await);
    wait(&log_in(&shop, &ann.email, &ann.password).await);
}

/// More refresh tokens than housekeeping forgets at once must not keep it from forgetting their session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_has_expired_goes_with_all_its_refresh_tokens() {
    needs_bench!("it moves the clock");
    let (shop, ann) = open().await;
    sign_in(&shop, &ann).await;
    shop.tamper(
        "accounts",
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1200) \
         INSERT INTO refresh_tokens (hash, session_id, expires_at, used_at) \
         SELECT 'used ' || n, s.id, s.expires_at, s.created_at FROM n, (SELECT * FROM sessions ORDER BY id DESC LIMIT 1) s",
    );
    let count = |table: &str| shop.value("accounts", &format!("SELECT count(*) FROM {table}"));
    assert_eq!(count("refresh_tokens"), 1202);
    shop.clock.advance(Duration::from_secs(366 * 24 * 60 * 60));
    shop.tick("accounts").await;
    assert_eq!((count("sessions"), count("refresh_tokens")), (json!(0), json!(0)));
}
