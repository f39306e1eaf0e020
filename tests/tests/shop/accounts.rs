//! Who is who: registering, signing in, staying signed in, and what is no proof of any of it.

use std::{collections::BTreeSet, time::Duration};

use crate::support::{assert_invalid, assert_problem};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::{join, join_all};
use serde_json::{Value, json};
use shop_tests::{Answer, Shop, ShopOptions, needs_bench};

const REGISTER: &str = "/api/v1/auth/register";
const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const ME: &str = "/api/v1/auth/me";

async fn open() -> Shop {
    Shop::start(ShopOptions::default()).await
}

/// A text of the answer.
fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_else(|| panic!("{name}: {body}")).to_owned()
}

async fn log_in(shop: &Shop, email: &str, password: &str) -> Answer {
    shop.post(LOGIN, &json!({ "email": email, "password": password })).await
}

async fn refresh(shop: &Shop, token: &str) -> Answer {
    shop.post(REFRESH, &json!({ "refreshToken": token })).await
}

#[track_caller]
fn assert_unauthenticated(answer: &Answer, what: &str) {
    assert_problem(answer, 401, "unauthenticated", what);
    assert!(answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")), "{what}");
}

#[tokio::test]
async fn a_customer_registers_signs_in_and_is_known() {
    let shop = open().await;
    let body = json!({ "email": " Ann.Lee@Example.COM ", "username": " Ann ", "password": "correct horse" });
    let registered = shop.post(REGISTER, &body).await;
    assert!(!registered.text.contains("horse"), "{}", registered.text);
    let user = registered.expect(201);
    let names: BTreeSet<_> = user.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["createdAt", "email", "id", "role", "status", "username"]));
    assert_eq!(user["email"], "ann.lee@example.com");
    assert_eq!((&user["username"], &user["role"]), (&json!("Ann"), &json!("user")));

    let answer = log_in(&shop, "ANN.lee@example.com", "correct horse").await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let signed_in = answer.expect(200);
    assert_eq!((&signed_in["tokenType"], &signed_in["expiresIn"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(signed_in["user"], user);
    for path in [ME, "/api/v1/users/me"] {
        assert_eq!(shop.get(path).bearer(&text(&signed_in, "accessToken")).await.expect(200), user, "{path}");
    }
    let unnamed = json!({ "email": "bob.b@example.com", "password": "correct horse" });
    assert_eq!(shop.post(REGISTER, &unnamed).await.expect(201)["username"], "bob.b");
    let stored = shop.value("accounts", "SELECT group_concat(password_hash) FROM users").to_string();
    assert!(stored.contains("$argon2id$") && !stored.contains("horse"), "{stored}");
}

#[tokio::test]
async fn every_field_has_its_limits() {
    let shop = open().await;
    let account = |field: &str, value: Value| {
        let mut body = json!({ "email": "ann@example.com", "username": "ann", "password": "12345679 " });
        body[field] = value;
        body
    };
    let of = |length: usize| json!("ä".repeat(length));
    for (path, body, fields) in [
        (REGISTER, json!({}), &["email"][..]),
        (REGISTER, json!({ "email": "ann@example.com" }), &["password"]),
        (REGISTER, json!({ "email": "ann", "password": "short" }), &["email", "password"]),
        (REGISTER, account("email", json!(5)), &["email"]),
        (REGISTER, account("email", json!(null)), &["email"]),
        (REGISTER, account("email", json!("")), &["email"]),
        (REGISTER, account("email", json!("ann@localhost")), &["email"]),
        (REGISTER, account("email", json!("Ann <ann@example.com>")), &["email"]),
        (REGISTER, account("email", json!("a@example.com, b@example.com")), &["email"]),
        (REGISTER, account("email", json!(format!("{}@example.com", "a".repeat(243)))), &["email"]),
        (REGISTER, account("username", json!(" ")), &["username"]),
        (REGISTER, account("username", json!("two\nlines")), &["username"]),
        (REGISTER, account("username", of(65)), &["username"]),
        (REGISTER, account("username", json!([])), &["username"]),
        (REGISTER, account("password", json!("1234567")), &["password"]),
        (REGISTER, account("password", of(129)), &["password"]),
        (REGISTER, account("password", json!("ANN@example.com")), &["password"]),
        (REGISTER, account("password", json!("12345678")), &["password"]),
        (REGISTER, account("password", json!("Password1")), &["password"]),
        (REGISTER, account("password", json!("        ")), &["password"]),
        (REGISTER, account("password", json!(12_345_678)), &["password"]),
        (LOGIN, json!({ "email": "", "password": "" }), &["email", "password"]),
        (LOGIN, json!({ "email": "a".repeat(255), "password": "x" }), &["email"]),
        (LOGIN, json!({ "email": "a", "password": "x".repeat(129) }), &["password"]),
        (REFRESH, json!({}), &["refreshToken"]),
        (REFRESH, json!({ "refreshToken": "" }), &["refreshToken"]),
        (REFRESH, json!({ "refreshToken": "x".repeat(129) }), &["refreshToken"]),
    ] {
        assert_invalid(&shop.post(path, &body).await, fields, &format!("{path} {body}"));
    }
    for (email, username, password) in [
        // Space around an address is a slip.
        (" ann@example.com\n", json!("ann"), json!("1234 678")),
        ("long.name@example.com", of(64), json!("1234 678")),
        ("long.secret@example.com", json!("x"), json!("äöüß".repeat(32))),
        ("null.name@example.com", json!(null), json!("   4    of x")),
    ] {
        let body = json!({ "email": email, "username": username, "password": password });
        shop.post(REGISTER, &body).await.expect(201);
        log_in(&shop, email, password.as_str().unwrap()).await.expect(200);
    }
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM users"), 5, "the admin and four customers");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_one_account() {
    let shop = open().await;
    let body = json!({ "email": "ann@example.com", "password": "correct horse" });
    let register = || shop.post(REGISTER, &body);
    let answers = join_all((0..5).map(|_| register().send())).await;
    let mut statuses: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409]);
    assert_problem(&register().await, 409, "email-taken", "the same again");
    let other_case = json!({ "email": "ANN@Example.com", "password": "another horse" });
    assert_problem(&shop.post(REGISTER, &other_case).await, 409, "email-taken", "in other letters");
    assert_eq!(log_in(&shop, "ann@example.com", "another horse").await.status, 401);

    let bob = json!({ "email": "bob@example.com", "password": "correct horse" });
    let first = shop.post(REGISTER, &bob).key("bob-1").await;
    let again = shop.post(REGISTER, &bob).key("bob-1").await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(first.expect(201), again.expect(201));
    let cid = json!({ "email": "cid@example.com", "password": "correct horse" });
    assert_problem(&shop.post(REGISTER, &cid).key("bob-1").await, 422, "idempotency-key-reused", "another body");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_look_the_same() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let refused = log_in(&shop, &ann.email, "not the password").await;
    assert_unauthenticated(&refused, "a wrong password");
    for (email, password) in [
        ("nobody@example.com", "not the password"),
        ("nobody@example.com", ann.password.as_str()),
        ("no address at all", "x"),
        ("' OR 1=1 --", "' OR 1=1 --"),
        (ann.email.as_str(), ""),
    ] {
        let answer = log_in(&shop, email, password).await;
        if password.is_empty() {
            assert_invalid(&answer, &["password"], email);
            continue;
        }
        assert_eq!((answer.status, &answer.text), (refused.status, &refused.text), "{email}");
        let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(names(&answer), names(&refused), "{email}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_reuse_ends_the_sign_in() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let first = log_in(&shop, &ann.email, &ann.password).await.expect(200);
    let elsewhere = log_in(&shop, &ann.email, &ann.password).await.expect(200);
    let answer = refresh(&shop, &text(&first, "refreshToken")).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let second = answer.expect(200);
    assert_ne!(second["refreshToken"], first["refreshToken"]);
    assert_eq!((&second["user"], &second["expiresIn"]), (&first["user"], &json!(900)));
    shop.get(ME).bearer(&text(&second, "accessToken")).await.expect(200);
    let third = refresh(&shop, &text(&second, "refreshToken")).await.expect(200);

    for (token, what) in [(&first, "an old one"), (&third, "the newest after that"), (&second, "the one between")] {
        assert_unauthenticated(&refresh(&shop, &text(token, "refreshToken")).await, what);
    }
    refresh(&shop, &text(&elsewhere, "refreshToken")).await.expect(200);
    for made_up in ["x", &URL_SAFE_NO_PAD.encode([0; 32]), &text(&third, "accessToken")[..128]] {
        assert_unauthenticated(&refresh(&shop, made_up).await, made_up);
    }
    let stored = shop.query("accounts", "SELECT hash FROM refresh_tokens");
    assert!(stored.iter().all(|row| row[0] != third["refreshToken"]), "only fingerprints are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_refreshes_at_once_one_wins_and_the_sign_in_ends() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    for round in 0..5 {
        let token = text(&log_in(&shop, &ann.email, &ann.password).await.expect(200), "refreshToken");
        let (one, other) = join(refresh(&shop, &token), refresh(&shop, &token)).await;
        let (winner, loser) = if one.status == 200 { (one, other) } else { (other, one) };
        assert_unauthenticated(&loser, &format!("the loser of round {round}"));
        let next = text(&winner.expect(200), "refreshToken");
        assert_unauthenticated(&refresh(&shop, &next).await, &format!("what the winner of round {round} got"));
    }
}

#[tokio::test]
async fn tokens_end_when_their_time_is_up_and_keys_change_every_day() {
    needs_bench!("it moves the clock");
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let signed_in = log_in(&shop, &ann.email, &ann.password).await.expect(200);
    let access = text(&signed_in, "accessToken");
    let orders = |token: &str| shop.get("/api/v1/orders").bearer(token);
    shop.clock.advance(Duration::from_secs(14 * 60));
    orders(&access).await.expect(200);
    shop.clock.advance(Duration::from_secs(61));
    for path in [ME, "/api/v1/orders"] {
        assert_unauthenticated(&shop.get(path).bearer(&access).await, "after 15 minutes");
    }
    let mut newest = refresh(&shop, &text(&signed_in, "refreshToken")).await.expect(200);
    let first_key = shop.value("accounts", "SELECT kid FROM signing_keys");
    for day in 1..=3 {
        shop.clock.advance(Duration::from_secs(24 * 60 * 60));
        newest = refresh(&shop, &text(&newest, "refreshToken")).await.expect(200);
        // Orders has not heard of the new key, and finds it.
        orders(&text(&newest, "accessToken")).await.expect(200);
        assert_eq!(shop.value("accounts", "SELECT count(*) FROM signing_keys"), 2, "day {day}");
    }
    let keys = shop.query("accounts", "SELECT kid FROM signing_keys");
    assert!(keys.iter().all(|key| key[0] != first_key), "{keys:?}");
    shop.clock.advance(Duration::from_secs(30 * 24 * 60 * 60 + 1));
    assert_unauthenticated(&refresh(&shop, &text(&newest, "refreshToken")).await, "after 30 days");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_instances_keep_the_keys_and_the_admin() {
    let shop = Shop::start(ShopOptions { max_instance_reuse: Some(1), ..ShopOptions::default() }).await;
    // Many instances at once make one key.
    let calls = (0..6).map(|_| log_in(&shop, "admin@example.com", "correct horse battery"));
    let tokens: Vec<_> =
        join_all(calls).await.into_iter().map(|answer| text(&answer.expect(200), "accessToken")).collect();
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM signing_keys"), 1);
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM users"), 1);
    for token in &tokens {
        for path in [ME, "/api/v1/orders", "/api/v1/inventory"] {
            shop.get(path).bearer(token).await.expect(200);
        }
    }
    // An admin who was demoted does not return with the next instance.
    let bob = shop.customer("bob").await;
    let id = shop.admin().await.id;
    let change = |id: i64, role: &str| shop.put(format!("/api/v1/users/{id}/role"), &json!({ "role": role }));
    change(bob.id, "admin").by(shop.admin().await).await.expect(200);
    let bob = shop.sign_in(&bob.email, &bob.password).await;
    change(id, "user").by(&bob).await.expect(200);
    let demoted = log_in(&shop, "admin@example.com", "correct horse battery").await.expect(200);
    assert_eq!(demoted["user"]["role"], "user");
}

#[tokio::test]
async fn the_first_admin_comes_from_the_variables_or_there_is_none() {
    let shop = open().await;
    let me = shop.get(ME).by(shop.admin().await).await.expect(200);
    assert_eq!((&me["email"], &me["role"]), (&json!("admin@example.com"), &json!("admin")));
    let none = [("admin_email", ""), ("admin_password", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let shop = Shop::start(ShopOptions { variables: none.into(), ..ShopOptions::default() }).await;
    assert_eq!(log_in(&shop, "admin@example.com", "correct horse battery").await.status, 401);
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM users"), 0);
}

#[tokio::test]
async fn admins_give_roles_and_the_next_token_has_them() {
    let shop = open().await;
    let (admin, ann) = (shop.admin().await, shop.customer("ann").await);
    let put = |id: &str, role: Value| shop.put(format!("/api/v1/users/{id}/role"), &json!({ "role": role }));
    let id = ann.id.to_string();
    for role in ["service", "supplier", "admin", "user", "supplier"] {
        assert_eq!(put(&id, json!(role)).by(admin).await.expect(200)["role"], role);
    }
    assert_eq!(shop.get("/api/v1/inventory").by(&ann).await.status, 403, "with a token from before");
    let seller = shop.sign_in(&ann.email, &ann.password).await;
    shop.get("/api/v1/inventory").by(&seller).await.expect(200);
    for role in [json!("owner"), json!("Admin"), json!(""), json!(null), json!(1)] {
        assert_invalid(&put(&id, role.clone()).by(admin).await, &["role"], &role.to_string());
    }
    for unknown in ["999999", "0", "-1", "ann", "99999999999999999999"] {
        assert_problem(&put(unknown, json!("admin")).by(admin).await, 404, "not-found", unknown);
    }
    assert_problem(&put(&admin.id.to_string(), json!("user")).by(admin).await, 409, "own-role", "the own role");
    // A token says what was true when it was made; what it may do to roles is decided by what is true now.
    put(&id, json!("admin")).by(admin).await.expect(200);
    let second = shop.sign_in(&ann.email, &ann.password).await;
    put(&id, json!("user")).by(admin).await.expect(200);
    for id in [admin.id, shop.customer("bob").await.id] {
        let answer = put(&id.to_string(), json!("supplier")).by(&second).await;
        assert_problem(&answer, 403, "forbidden", "by a demoted admin");
    }
}

#[tokio::test]
async fn a_suspended_account_is_out() {
    needs_bench!("it writes into a database that a server has open");
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let signed_in = log_in(&shop, &ann.email, &ann.password).await.expect(200);
    shop.tamper("accounts", &format!("UPDATE users SET status = 'suspended' WHERE id = {}", ann.id));
    let wrong = log_in(&shop, &ann.email, "not the password").await;
    let right = log_in(&shop, &ann.email, &ann.password).await;
    assert_unauthenticated(&right, "signing in");
    assert_eq!(right.text, wrong.text);
    assert_unauthenticated(&refresh(&shop, &text(&signed_in, "refreshToken")).await, "going on");
    assert_unauthenticated(&shop.get(ME).bearer(&text(&signed_in, "accessToken")).await, "asking who");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_the_door_is_answered_and_holds_up_nobody_inside() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let access = shop.access_token(&ann).await;
    let crowd = join_all((0..100).map(|_| log_in(&shop, &ann.email, &ann.password)));
    let inside = async {
        for _ in 0..5 {
            shop.get(ME).bearer(&access).await.expect(200);
        }
        std::time::Instant::now()
    };
    let timed = async { (crowd.await, std::time::Instant::now()) };
    let ((answers, last_outside), last_inside) = join(timed, inside).await;
    assert!(last_inside < last_outside, "those who are signed in waited for the whole crowd");
    let mut in_time = 0;
    for answer in answers {
        match answer.status.as_u16() {
            200 => in_time += 1,
            503 => assert_eq!(answer.header("retry-after"), Some("1"), "{}", answer.text),
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert!(in_time > 0, "nobody got in");
    log_in(&shop, &ann.email, &ann.password).await.expect(200);
}
