//! Values in the page, in a real browser: shown, changed and deleted as they are and not otherwise.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and a browser"
)]

#[path = "browser/driver.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod driver;
#[path = "http/node.rs"]
mod node;
#[path = "browser/scene.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod scene;

use driver::Browser;
use node::Node;
use scene::{is_clean, page, turn};

#[test]
fn what_is_deleted_is_what_was_asked_about() {
    let _turn = turn();
    let Some(browser) = Browser::open("deletion") else {
        return;
    };
    let node = Node::alone();
    let path = "/api/v1/files/app/master";
    node.put("/app/master", "web-1");
    browser.go(&page(&node, "/app/master"));
    browser.until_reads("#value", "web-1");
    browser.click("#delete");
    browser.until("document.querySelector('#deletion').open");
    let newer = node.put("/app/master", "web-2");
    browser.until_reads("#value", "web-2");
    browser.click("#deletion-yes");
    browser.until_reads("#said", &format!("at rev {newer}"));
    assert_eq!(node.get(path).text(), "web-2");

    // What is gone meanwhile is no error.
    browser.click("#delete");
    browser.until("document.querySelector('#deletion').open");
    assert_eq!(node.ask("DELETE", path, &[], b"").status, 204);
    browser.until_reads("#missing", "no such file");
    browser.click("#deletion-yes");
    browser.until_reads("#said", "is deleted");
    is_clean(&browser);
}

#[test]
fn lines_end_as_they_did_before() {
    let _turn = turn();
    let Some(browser) = Browser::open("lines") else {
        return;
    };
    let node = Node::alone();
    let path = "/api/v1/files/app/conf";
    node.put("/app/conf", "a: 1\r\nb: 2\r\n");
    browser.go(&page(&node, "/app/conf"));
    browser.until_reads("#value", "b: 2");
    browser.click("#edit");
    browser.write("#draft", "a: 1\nb: 3\nc: 4\n");
    browser.click("#save");
    browser.until_reads("#value", "c: 4");
    assert_eq!(node.get(path).text(), "a: 1\r\nb: 3\r\nc: 4\r\n");

    let mixed = "a: 1\r\nb: 2\nc: 5\n";
    node.put("/app/conf", mixed);
    browser.until_reads("#value", "c: 5");
    browser.click("#edit");
    browser.until_reads("#said", "different ways");
    assert_eq!(
        browser.text("document.querySelector('#draft').checkVisibility()"),
        "false"
    );
    assert_eq!(node.get(path).text(), mixed);
    is_clean(&browser);
}

#[test]
fn json_is_shown_as_it_is_written() {
    let _turn = turn();
    let Some(browser) = Browser::open("json") else {
        return;
    };
    let node = Node::alone();
    let written = r#"{"n":12345678901234567890,"one":1.0,"k":1,"k":2,"s":"a,\"{\u00e9","none":[ ],
        "deep" : [{"x":{}},true]}"#;
    let shown = r#"{
  "n": 12345678901234567890,
  "one": 1.0,
  "k": 1,
  "k": 2,
  "s": "a,\"{\u00e9",
  "none": [],
  "deep": [
    {
      "x": {}
    },
    true
  ]
}"#;
    node.put("/app/json", written);
    browser.go(&page(&node, "/app/json"));
    browser.until_reads("#ways", "JSON");
    browser.until_reads("#value", "deep");
    let seen = browser.text("document.querySelector('#value pre').textContent");
    assert_eq!(seen, shown);
    // Deeper than anybody looks, and the page still answers.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    node.put("/app/json", &deep);
    browser.until("document.querySelector('#value pre').textContent.startsWith('[\\n  [\\n')");
    node.put("/app/json", "{\"n\": 1");
    browser.until_reads("#value", "{\"n\": 1");
    assert!(
        !browser
            .text("document.querySelector('#ways').innerText")
            .contains("JSON")
    );
    is_clean(&browser);
}
