/* A strict look at HTML, stricter than any browser: for pages that carry hostile text. */
#pragma once

#include <stddef.h>

/* NULL, or what is wrong: every < begins a tag, tags nest and are closed (but for void elements),
 * attributes are in double quotes, every & begins a character reference of ours, and no control
 * character stands anywhere. The content of <style> is not looked at. */
const char *html_check(const char *text, size_t length);
