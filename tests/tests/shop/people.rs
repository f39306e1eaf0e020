//! Accounts as others see them: what admins do with them, what programs of the shop may know, and how they end.

use std::{collections::BTreeSet, time::Duration};

use crate::support::{assert_invalid, assert_problem};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions, needs_bench};

const ME: &str = "/api/v1/users/me";
const INTROSPECT: &str = "/api/v1/auth/introspect";

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

/// Somebody with this role, signed in with it.
async fn person(shop: &Shop, name: &str, role: &str) -> Customer {
    let person = shop.customer(name).await;
    let body = json!({ "role": role });
    shop.put(format!("/api/v1/users/{}/role", person.id), &body).by(shop.admin().await).await.expect(200);
    shop.sign_in(&person.email, &person.password).await
}

async fn set_status(shop: &Shop, admin: &Customer, id: i64, status: &str) -> shop_tests::Answer {
    shop.put(format!("/api/v1/users/{id}/status"), &json!({ "status": status })).by(admin).await
}

/// A sign-in of its own: access and refresh token.
async fn tokens(shop: &Shop, ann: &Customer) -> (String, String) {
    let body = json!({ "email": ann.email, "password": ann.password });
    let signed_in = shop.post("/api/v1/auth/login", &body).await.expect(200);
    let text = |name: &str| signed_in[name].as_str().unwrap().to_owned();
    (text("accessToken"), text("refreshToken"))
}

/// The addresses of a list, page by page.
async fn listed(shop: &Shop, query: &str, limit: usize) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/users?limit={limit}&{query}{cursor}");
        let page = shop.get(path).by(shop.admin().await).await.expect(200);
        let users = page["items"].as_array().unwrap();
        all.extend(users.iter().map(|user| user["email"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[tokio::test]
async fn admins_find_accounts_by_page_address_role_and_status() {
    let (shop, ann) = open().await;
    for name in ["anna", "bob", "anton"] {
        shop.customer(name).await;
    }
    let sue = person(&shop, "sue", "supplier").await;
    set_status(&shop, shop.admin().await, sue.id, "suspended").await.expect(200);
    let of = |names: &[&str]| names.iter().map(|name| format!("{name}@example.com")).collect::<Vec<_>>();
    for limit in [1, 2, 100] {
        assert_eq!(
            listed(&shop, "", limit).await,
            of(&["sue", "anton", "bob", "anna", "ann", "admin"]),
            "the newest first"
        );
        assert_eq!(listed(&shop, "email=AN", limit).await, of(&["ann", "anna", "anton"]), "by address");
        assert_eq!(listed(&shop, "role=user", limit).await, of(&["anton", "bob", "anna", "ann"]));
        assert_eq!(listed(&shop, "status=suspended", limit).await, of(&["sue"]));
        assert_eq!(listed(&shop, "role=supplier&status=active", limit).await, of(&[]));
        assert_eq!(listed(&shop, "email=an&role=user&status=active", limit).await, of(&["ann", "anna", "anton"]));
    }
    let admin = shop.admin().await;
    for query in ["role=owner", "status=Active", "limit=0", "limit=101", "cursor=x"] {
        let answer = shop.get(format!("/api/v1/users?{query}")).by(admin).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{query}: {}", answer.text);
    }
    let found = shop.get(format!("/api/v1/users/{}", ann.id)).by(admin).await.expect(200);
    assert_eq!(found, shop.get(ME).by(&ann).await.expect(200));
    assert_eq!(found, shop.get(format!("/api/v1/users/{}", ann.id)).by(&ann).await.expect(200));
    assert_problem(&shop.get(format!("/api/v1/users/{}", admin.id)).by(&ann).await, 404, "not-found", "not her own");
    // A token from before a demotion shows nothing any more.
    let second = person(&shop, "second", "admin").await;
    shop.get("/api/v1/users").by(&second).await.expect(200);
    shop.put(format!("/api/v1/users/{}/role", second.id), &json!({ "role": "user" })).by(admin).await.expect(200);
    assert_eq!(shop.get("/api/v1/users").by(&second).await.status, 403);
    assert_eq!(shop.get(format!("/api/v1/users/{}", ann.id)).by(&second).await.status, 403);
}

#[tokio::test]
async fn admins_find_accounts_by_id_name_and_number_to_call() {
    let (shop, ann) = open().await;
    for (name, profile) in [
        ("bob", json!({ "firstName": "Jos\u{e9}", "lastName": "O'Brien Lee", "phone": "+49 (30) 12-34" })),
        ("leonie", json!({ "firstName": "Bob", "phone": "4930 1234" })),
        ("zoe", json!({ "username": "zoe.leeds", "phone": "49 30 12345" })),
    ] {
        let person = shop.customer(name).await;
        shop.put(ME, &profile).by(&person).await.expect(200);
    }
    let of = |names: &[&str]| names.iter().map(|name| format!("{name}@example.com")).collect::<Vec<_>>();
    let id = format!("id={}", ann.id);
    for limit in [1, 100] {
        for (query, found) in [
            (id.as_str(), vec!["ann"]),
            ("id=999999", vec![]),
            ("name=lee", vec!["zoe", "bob"]),
            ("name=LE", vec!["zoe", "leonie", "bob"]),
            ("name=bob", vec!["leonie", "bob"]),
            ("name=JOSE", vec!["bob"]),
            ("name=jos%C3%A9%20le", vec!["bob"]),
            ("name=o%27brien", vec!["bob"]),
            ("name=rien", vec![]),
            ("name=lee%22%20OR%20%22zoe", vec![]),
            ("name=bob&email=BO", vec!["bob"]),
            ("name=bob&phone=49301234&role=user", vec!["leonie", "bob"]),
            ("name=bob&status=suspended", vec![]),
            ("phone=%2B49-30-1234", vec!["leonie", "bob"]),
            ("phone=49301234&email=leo", vec!["leonie"]),
            ("phone=301234", vec![]),
            ("role=user&status=active&email=", vec!["zoe", "leonie", "bob", "ann"]),
            ("id=&name=&phone=&role=&status=suspended", vec![]),
        ] {
            assert_eq!(listed(&shop, query, limit).await, of(&found), "{query}");
        }
        assert_eq!(listed(&shop, &format!("{id}&name=ann&email=a&role=user"), limit).await, of(&["ann"]));
        assert_eq!(listed(&shop, &format!("{id}&name=bob"), limit).await, of(&[]));
        assert_eq!(listed(&shop, &format!("{id}&email=b"), limit).await, of(&[]));
    }
    let admin = shop.admin().await;
    for (query, field) in [("id=x", "id"), ("phone=call", "phone"), ("name=--", "name"), ("role=owner", "role")] {
        assert_invalid(&shop.get(format!("/api/v1/users?{query}")).by(admin).await, &[field], query);
    }
    shop.put(ME, &json!({ "firstName": "Xaver", "username": "xaver" })).by(&ann).await.expect(200);
    assert_eq!(listed(&shop, "name=ann", 100).await, of(&[]), "no longer her name");
    assert_eq!(listed(&shop, "name=xav", 100).await, of(&["ann"]));
    shop.delete(format!("/api/v1/users/{}", ann.id)).by(admin).await.expect(204);
    for query in ["name=xav", &id] {
        assert_eq!(listed(&shop, query, 100).await, of(&[]), "{query}: deleted");
    }
}

#[tokio::test]
async fn a_page_of_accounts_that_few_are_like_looks_at_a_thousand_and_goes_on_there() {
    let (shop, _) = open().await;
    shop.customer("zoe").await;
    // Between ann and zoe: as many as a page looks at, and some more.
    let crowd = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2100) \
         INSERT INTO users (email, username, password_hash, role, status, created_at, first_name) \
         SELECT printf('m%04d@example.com', i), 'm' || i, '', 'user', 'suspended', 0, 'Crowd' FROM n";
    shop.tamper("accounts", crowd);
    let admin = shop.admin().await;
    for (query, found) in [
        ("role=user&status=active", vec!["zoe@example.com", "ann@example.com"]),
        ("email=m&status=active", vec![]),
        ("name=crowd&email=m0001", vec!["m0001@example.com"]),
    ] {
        let first = shop.get(format!("/api/v1/users?{query}")).by(admin).await.expect(200);
        assert!(first["nextCursor"].is_string() && first["items"] == json!([]), "{query}: {first}");
        assert_eq!(listed(&shop, query, 20).await, found, "{query}");
    }
    assert_eq!(listed(&shop, "email=m", 100).await.len(), 2100);
}

#[tokio::test]
async fn a_suspended_account_is_signed_out_everywhere_until_it_is_active_again() {
    let (shop, ann) = open().await;
    let admin = shop.admin().await;
    let (access, refresh) = tokens(&shop, &ann).await;
    let suspended = set_status(&shop, admin, ann.id, "suspended").await.expect(200);
    assert_eq!(suspended["status"], "suspended");
    assert_eq!(shop.get(ME).bearer(&access).await.status, 401);
    let again = json!({ "refreshToken": refresh });
    assert_eq!(shop.post("/api/v1/auth/refresh", &again).await.status, 401);
    let login = json!({ "email": ann.email, "password": ann.password });
    assert_eq!(shop.post("/api/v1/auth/login", &login).await.status, 401);
    set_status(&shop, admin, ann.id, "suspended").await.expect(200);
    let patch = shop.request(Method::PATCH, format!("/api/v1/users/{}/status", ann.id));
    assert_eq!(patch.json(&json!({ "status": "active" })).by(admin).await.expect(200)["status"], "active");
    tokens(&shop, &ann).await;
    assert_eq!(shop.post("/api/v1/auth/refresh", &again).await.status, 401, "what was signed out stays so");

    let events = "SELECT json_extract(envelope, '$.data.accountStatus') FROM outbox \
         WHERE json_extract(envelope, '$.eventType') = 'USER_UPDATED' ORDER BY id";
    assert_eq!(shop.query("accounts", events), [[json!("suspended")], [json!("active")]], "told once each");
    assert_problem(&set_status(&shop, admin, admin.id, "suspended").await, 409, "own-status", "himself");
    assert_invalid(&set_status(&shop, admin, ann.id, "asleep").await, &["status"], "no such status");
    assert_problem(&set_status(&shop, admin, 999_999, "active").await, 404, "not-found", "nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_that_races_a_suspension_does_not_outlive_it() {
    let (shop, ann) = open().await;
    let admin = shop.admin().await;
    let login = json!({ "email": ann.email, "password": ann.password });
    for round in 0..5_u64 {
        let crowd = join_all((0..4).map(|_| shop.post("/api/v1/auth/login", &login).send()));
        let suspend = async {
            tokio::time::sleep(Duration::from_millis(60 * round)).await;
            set_status(&shop, admin, ann.id, "suspended").await.expect(200);
        };
        let (answers, ()) = futures::future::join(crowd, suspend).await;
        for answer in answers {
            let answer = answer.unwrap();
            if answer.status == 200 {
                let access = answer.body["accessToken"].as_str().unwrap();
                assert_eq!(shop.get(ME).bearer(access).await.status, 401, "round {round}");
            }
        }
        let open = "SELECT count(*) FROM sessions WHERE revoked_at IS NULL AND user_id = ";
        assert_eq!(shop.value("accounts", &format!("{open}{}", ann.id)), 0, "round {round}");
        set_status(&shop, admin, ann.id, "active").await.expect(200);
        // Refusals count as failures; these are not the subject here.
        shop.clock.advance(Duration::from_secs(60 * 60 * 25));
    }
}

#[tokio::test]
async fn the_owner_programs_and_admins_verify_an_account() {
    let (shop, ann) = open().await;
    let (program, bob) = (person(&shop, "program", "service").await, shop.customer("bob").await);
    let path = format!("/api/v1/users/{}/verify", ann.id);
    let expected = json!({ "id": ann.id, "email": ann.email, "username": "ann", "role": "user", "status": "active",
        "valid": true, "verified": true });
    for caller in [&ann, &program, shop.admin().await] {
        assert_eq!(shop.get(path.as_str()).by(caller).await.expect(200), expected);
        assert_problem(&shop.get("/api/v1/users/999999/verify").by(caller).await, 404, "not-found", "nobody");
    }
    assert_problem(&shop.get(path.as_str()).by(&bob).await, 404, "not-found", "not his business");
    set_status(&shop, shop.admin().await, ann.id, "suspended").await.expect(200);
    let suspended = shop.get(path.as_str()).by(&program).await.expect(200);
    assert_eq!((&suspended["valid"], &suspended["status"]), (&json!(false), &json!("suspended")));
    shop.delete(format!("/api/v1/users/{}", ann.id)).by(shop.admin().await).await.expect(204);
    assert_eq!(shop.get(path.as_str()).by(&program).await.status, 404);
}

#[tokio::test]
async fn introspection_says_what_a_token_is_worth_now() {
    let (shop, ann) = open().await;
    let admin = shop.admin().await;
    let program = person(&shop, "program", "service").await;
    let ask = async |token: &str| shop.post(INTROSPECT, &json!({ "token": token })).by(&program).await;
    let (access, refresh) = tokens(&shop, &ann).await;
    let answer = ask(&access).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let active = answer.expect(200);
    assert_eq!(
        (&active["active"], &active["sub"], &active["username"]),
        (&json!(true), &json!(ann.id.to_string()), &json!(ann.email))
    );
    assert_eq!(
        (&active["role"], &active["token_type"], &active["iss"]),
        (&json!("user"), &json!("Bearer"), &json!("bodega"))
    );
    let lifetime = active["exp"].as_u64().unwrap() - active["iat"].as_u64().unwrap();
    assert_eq!(lifetime, 15 * 60);
    // RFC 7662 sends a form.
    let form = |body: &str| {
        let call = shop.request(Method::POST, INTROSPECT).header("content-type", "application/x-www-form-urlencoded");
        call.bytes(body.to_owned()).by(admin)
    };
    assert_eq!(form(&format!("token={access}&token_type_hint=access_token")).await.expect(200), active);
    assert_invalid(&form("token=").await, &["token"], "an empty one");
    assert_invalid(&form("hint=x").await, &["token"], "none");
    let inactive = json!({ "active": false });
    for bad in ["x", &refresh, &access[..access.len() - 1], &format!("{access}x"), &"x".repeat(3000)] {
        assert_eq!(ask(bad).await.expect(200), inactive, "{bad}");
    }
    // The role is that of now, whatever the token says.
    shop.put(format!("/api/v1/users/{}/role", ann.id), &json!({ "role": "supplier" })).by(admin).await.expect(200);
    assert_eq!(ask(&access).await.expect(200)["role"], "supplier");
    shop.post("/api/v1/auth/logout", &json!({})).bearer(&access).await.expect(204);
    assert_eq!(ask(&access).await.expect(200), inactive, "signed out");
    let (access, _) = tokens(&shop, &ann).await;
    set_status(&shop, admin, ann.id, "suspended").await.expect(200);
    assert_eq!(ask(&access).await.expect(200), inactive, "suspended");
}

#[tokio::test]
async fn a_token_that_has_expired_is_worth_nothing() {
    needs_bench!("it moves the clock");
    let (shop, ann) = open().await;
    let (access, _) = tokens(&shop, &ann).await;
    let ask = async || shop.post(INTROSPECT, &json!({ "token": access })).by(shop.admin().await).await.expect(200);
    assert_eq!(ask().await["active"], true);
    shop.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(ask().await, json!({ "active": false }));
}

/// Gives the customer everything that says who it is.
async fn furnish(shop: &Shop, ann: &Customer) {
    let secret = "Secretive";
    let profile = json!({ "username": secret, "firstName": secret, "lastName": secret, "phone": "555 0100 7" });
    shop.put(ME, &profile).by(ann).await.expect(200);
    let address = json!({ "name": secret, "line1": secret, "city": secret, "postalCode": secret, "country": "US" });
    shop.post("/api/v1/users/me/addresses", &address).by(ann).await.expect(201);
    let method = json!({ "token": "tok_Secretive", "label": secret });
    shop.post("/api/v1/users/me/payment-methods", &method).by(ann).await.expect(201);
    let login = json!({ "email": ann.email, "password": ann.password });
    shop.post("/api/v1/auth/login", &login).header("user-agent", secret).await.expect(200);
    shop.post("/api/v1/auth/forgot-password", &json!({ "email": ann.email })).await.expect(202);
    shop_tests::eventually(Duration::from_secs(20), "the mail is written", async || {
        shop.value("notifications", "SELECT count(*) FROM mails") == 1
    })
    .await;
}

/// All that the tables of accounts and notifications say of people.
fn traces(shop: &Shop) -> String {
    let tables = ["users", "addresses", "payment_methods", "sessions", "failures", "reset_codes"];
    let rows: Vec<_> = tables.iter().map(|table| shop.query("accounts", &format!("SELECT * FROM {table}"))).collect();
    let mails = ["mails", "users"].map(|table| shop.query("notifications", &format!("SELECT * FROM {table}")));
    format!("{rows:?} {mails:?}")
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_and_its_address_is_free() {
    let (shop, ann) = open().await;
    shop.admin().await;
    furnish(&shop, &ann).await;
    assert!(traces(&shop).contains("Secretive") && traces(&shop).contains(&ann.email));
    let (access, refresh) = tokens(&shop, &ann).await;
    let delete = |password: &str| shop.delete(ME).json(&json!({ "password": password })).bearer(&access);
    assert_invalid(&delete("not the password").await, &["password"], "a wrong password");
    assert_eq!(shop.delete(ME).bearer(&access).await.status, 415, "no password");
    assert!(traces(&shop).contains("Secretive"));
    delete(&ann.password).await.expect(204);
    shop.settle().await;

    let left = traces(&shop);
    assert!(!left.contains("Secretive") && !left.contains(&ann.email) && !left.contains("555 0100 7"), "{left}");
    assert_eq!(delete(&ann.password).await.status, 401, "once more");
    assert_eq!(shop.get(ME).bearer(&access).await.status, 401);
    assert_eq!(shop.post("/api/v1/auth/refresh", &json!({ "refreshToken": refresh })).await.status, 401);
    let login = json!({ "email": ann.email, "password": ann.password });
    assert_eq!(shop.post("/api/v1/auth/login", &login).await.status, 401);
    let deleted = "SELECT json_extract(envelope, '$.data.id') FROM outbox \
         WHERE json_extract(envelope, '$.eventType') = 'USER_DELETED'";
    assert_eq!(shop.query("accounts", deleted), [[json!(ann.id)]]);

    let reborn = shop.customer("ann").await;
    assert_ne!(reborn.id, ann.id);
    assert_eq!(shop.get("/api/v1/users/me/addresses").by(&reborn).await.expect(200), json!({ "items": [] }));
}

#[tokio::test]
async fn admins_delete_accounts_and_the_same_again_changes_nothing() {
    let (shop, ann) = open().await;
    let admin = shop.admin().await;
    let delete = |id: i64| shop.delete(format!("/api/v1/users/{id}"));
    assert_eq!(delete(ann.id).by(&ann).await.status, 403);
    furnish(&shop, &ann).await;
    for _ in 0..2 {
        delete(ann.id).by(admin).await.expect(204);
    }
    shop.settle().await;
    let left = traces(&shop);
    assert!(!left.contains("Secretive") && !left.contains(&ann.email), "{left}");
    let events = shop.query("accounts", "SELECT envelope FROM outbox WHERE envelope LIKE '%USER_DELETED%'");
    assert_eq!(events.len(), 1);
    assert_problem(&delete(999_999).by(admin).await, 404, "not-found", "nobody");
    assert_problem(&delete(admin.id).by(admin).await, 409, "own-account", "himself");
    for path in ["", "/verify"] {
        assert_eq!(shop.get(format!("/api/v1/users/{}{path}", ann.id)).by(admin).await.status, 404);
    }
    let role = json!({ "role": "admin" });
    assert_eq!(shop.put(format!("/api/v1/users/{}/role", ann.id), &role).by(admin).await.status, 404);
    assert_eq!(set_status(&shop, admin, ann.id, "active").await.status, 404);
    assert!(!listed(&shop, "", 100).await.contains(&ann.email));
}

#[tokio::test]
async fn the_last_admin_stays_and_a_deleted_one_does_not_return() {
    // Each request meets a new instance, which looks for the first admin.
    let shop = Shop::start(ShopOptions { max_instance_reuse: Some(1), ..ShopOptions::default() }).await;
    let admin = shop.admin().await;
    let body = json!({ "password": admin.password });
    let delete = || shop.delete(ME).json(&body).by(admin);
    assert_problem(&delete().await, 409, "last-admin", "nobody else is there");
    let second = person(&shop, "second", "admin").await;
    set_status(&shop, admin, second.id, "suspended").await.expect(200);
    assert_problem(&delete().await, 409, "last-admin", "the other one is suspended");
    set_status(&shop, admin, second.id, "active").await.expect(200);
    let second = shop.sign_in(&second.email, &second.password).await;
    delete().await.expect(204);
    let login = json!({ "email": admin.email, "password": admin.password });
    for _ in 0..2 {
        assert_eq!(shop.post("/api/v1/auth/login", &login).await.status, 401);
    }
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM users WHERE role = 'admin'"), 1);
    let own = json!({ "password": second.password });
    assert_problem(&shop.delete(ME).json(&own).by(&second).await, 409, "last-admin", "now this one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_last_admins_who_leave_at_once_one_stays() {
    let shop = Shop::start(ShopOptions::default()).await;
    let second = person(&shop, "second", "admin").await;
    let leave = async |admin: &Customer| {
        shop.delete(ME).json(&json!({ "password": admin.password })).by(admin).await.status.as_u16()
    };
    let (one, other) = futures::future::join(leave(shop.admin().await), leave(&second)).await;
    assert_eq!(BTreeSet::from([one, other]), BTreeSet::from([204, 409]));
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM users WHERE role = 'admin'"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_added_to_an_account_while_it_is_deleted() {
    let (shop, ann) = open().await;
    let token = shop.access_token(&ann).await;
    let address = json!({ "name": "Secretive", "line1": "x", "city": "x", "postalCode": "x", "country": "US" });
    let add = || shop.post("/api/v1/users/me/addresses", &address).bearer(&token).send();
    let delete = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let admin = shop.admin().await;
        shop.delete(format!("/api/v1/users/{}", ann.id)).by(admin).await.expect(204);
    };
    let (added, ()) = futures::future::join(join_all((0..15).map(|_| add())), delete).await;
    let statuses: BTreeSet<_> = added.into_iter().map(|answer| answer.unwrap().status.as_u16()).collect();
    assert!(statuses.iter().all(|status| [201, 401].contains(status)), "{statuses:?}");
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM addresses"), 0);
    let row = shop.query("accounts", &format!("SELECT email, shipping_address_id FROM users WHERE id = {}", ann.id));
    assert_eq!(row, [[Value::Null, Value::Null]]);
}
