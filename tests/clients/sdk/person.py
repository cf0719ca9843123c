"""A person with a browser: signs in on the page at a URL, as PERSON_NAME with PERSON_PASSWORD. What the
published identity libraries open as a browser; with a second argument, the code a device showed."""

import html
import os
import re
import sys

import requests


def main():
    session = requests.Session()
    session.verify = os.environ["REQUESTS_CA_BUNDLE"]
    form = {"username": os.environ["PERSON_NAME"], "password": os.environ["PERSON_PASSWORD"], "do": "yes"}
    if len(sys.argv) > 2:
        form["code"] = sys.argv[2]
    assert "<form" in session.get(sys.argv[1], timeout=30).text
    done = session.post(sys.argv[1], data=form, timeout=30)  # and where it leads to
    assert done.status_code == 200, done.text
    back = re.search(r'<form method="post" action="([^"]+)"', done.text)
    if back:  # the button of response_mode=form_post
        hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', done.text)
        done = session.post(html.unescape(back[1]), timeout=30,
                            data={name: html.unescape(value) for name, value in hidden})
        assert done.status_code == 200, done.text


if __name__ == "__main__":
    main()
