#include "cli/folders.h"

#include <pwd.h>
#include <unistd.h>

namespace mortar {

std::string Variable(const Environment& environment, std::string_view name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

// Services and containers may run without HOME; the user database knows it as well. A user without
// either has the root folder for a home, as login gives one.
std::string Home(const Environment& environment) {
  std::string home = Variable(environment, "HOME");
  if (!home.empty()) return home;
  const passwd* user = getpwuid(getuid());
  return user == nullptr || user->pw_dir == nullptr ? "" : user->pw_dir;
}

}  // namespace mortar
