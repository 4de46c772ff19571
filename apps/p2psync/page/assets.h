#pragma once
// The files that the page is made of beside what is drawn anew, as texts in the program.
#include <string_view>

namespace p2psync::app {

extern const std::string_view page_style;   ///< style.css
extern const std::string_view page_script;  ///< script.js
extern const std::string_view page_icon;    ///< icon.svg

}  // namespace p2psync::app
